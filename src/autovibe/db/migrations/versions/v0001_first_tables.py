"""The first tables, their triggers, and the packaged exchange rate.

The two files in `sql/` say in each backend's own words what differs most: scaled decimals,
partitions, NULLS NOT DISTINCT, GIN indexes, triggers.
"""

from __future__ import annotations

from alembic import op

from autovibe.db.migrations.script import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    "execution_logs",
    "executions",
    "worker_assignments",
    "work_orders",
    "task_dependencies",
    "budget_holds",
    "budget_reservations",
    "resource_budgets",
    "resource_usage",
    "exchange_rates",
    "checkpoint_verification_queue",
    "api_tokens",
    "project_members",
    "instances",
    "checkpoints",
    "intelligent_machines",
    "tasks",
    "workers",
    "users",
    "projects",
    "audit_log",
    "audit_seals",
    "maintenance_log",
    "outbox_events",
)


def upgrade() -> None:
    """Make everything."""
    run_script(op.get_bind(), "0001")


def downgrade() -> None:
    """Drop everything, rows included."""
    connection = op.get_bind()
    postgresql = connection.dialect.name == "postgresql"
    # Machines and checkpoints name each other: one side lets go first.
    connection.exec_driver_sql("UPDATE intelligent_machines SET parent_checkpoint_id = NULL")
    if postgresql:
        connection.exec_driver_sql(
            "ALTER TABLE intelligent_machines"
            " DROP CONSTRAINT fk_intelligent_machines_parent_checkpoint_id"
        )
    for table in _TABLES:
        connection.exec_driver_sql(f"DROP TABLE {table}")
    if postgresql:
        connection.exec_driver_sql("DROP FUNCTION set_updated_at()")
        connection.exec_driver_sql("DROP FUNCTION checkpoints_immutable()")
