"""The rest of the tables: hubs, mailboxes, approvals, agent runs, chat, documents, commerce.

The two files in `sql/` say it in each backend's own words. No row of an older table changes.
"""

from __future__ import annotations

from alembic import op

from autovibe.db.migrations.script import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = (
    "tool_executions",
    "llm_round_table_results",
    "hub_experiments",
    "chat_attachments",
    "approval_requests",
    "agent_executions",
    "hub_checkpoints",
    "chat_messages",
    "rag_documents",
    "machine_messages",
    "hub_instances",
    "context_document_versions",
    "chat_conversations",
    "worker_capabilities",
    "orders",
    "context_documents",
    "products",
)


def upgrade() -> None:
    """Make the tables."""
    run_script(op.get_bind(), "0002")


def downgrade() -> None:
    """Drop the tables, rows included."""
    connection = op.get_bind()
    # Hubs and experiments name each other: one side lets go first.
    connection.exec_driver_sql("UPDATE hub_instances SET experiment_id = NULL")
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "ALTER TABLE hub_instances DROP CONSTRAINT fk_hub_instances_experiment_id"
        )
    # What names its own kind lets go too: SQLite empties a table before it drops it.
    connection.exec_driver_sql("UPDATE chat_messages SET parent_message_id = NULL")
    connection.exec_driver_sql("UPDATE hub_instances SET parent_hub_id = NULL")
    for table in _TABLES:
        connection.exec_driver_sql(f"DROP TABLE {table}")
