"""Budgets kept by the database, usage per day, partitions, views, verification, logins."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Connection, Uuid, column, select, update
from sqlalchemy import table as named_table

from autovibe.db.migrations.script import run_script, script_of
from autovibe.db.secret_json import JsonWithSecrets, has_secrets

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_CONFIG = JsonWithSecrets().named("workers.config")
_VIEWS = ("machine_performance_metrics", "project_resource_summary")
_SUMMARIES = ("mv_machine_performance", "mv_project_resource_summary")
_TRIGGERS = (
    ("enforce_budget_after_insert", "resource_usage"),
    ("roll_up_usage_after_insert", "resource_usage"),
    ("schedule_checkpoint_verification", "checkpoints"),
    ("finish_checkpoint_verification", "checkpoints"),
    ("delete_holds_after_call", "budget_reservations"),
)
_FUNCTIONS = (
    "add_usage_to_daily()",
    "enforce_resource_budget()",
    "verify_checkpoint_integrity()",
    "queue_checkpoint_verification()",
    "finish_checkpoint_verification()",
    "create_monthly_partition(text, date)",
    "cleanup_old_resource_usage(timestamptz)",
    "delete_holds_of_calls()",
)


def upgrade() -> None:
    """Make everything, and fill the days from the rows that are there."""
    run_script(op.get_bind(), "0003")
    if not op.get_context().as_sql:
        _seal_secrets(op.get_bind())


def _seal_secrets(connection: Connection) -> None:
    """Encrypt what `workers.config` has of secrets in the clear; needs no key where there are none.

    SQL that is only written out cannot do this: `autovibe db rotate-keys` does it there.
    """
    workers = named_table("workers", column("id", Uuid()), column("config", _CONFIG))
    for row in connection.execute(select(workers.c.id, workers.c.config)).all():
        if has_secrets(row.config):
            # The type of the column encrypts them.
            connection.execute(
                update(workers).where(workers.c.id == row.id).values(config=row.config)
            )


def downgrade() -> None:
    """Drop everything; partitions of months stay, they hold rows."""
    run = op.get_bind().exec_driver_sql
    postgresql = op.get_bind().dialect.name == "postgresql"
    for view in _VIEWS:
        run(f"DROP VIEW {view}")
    for summary in _SUMMARIES:
        run(f"DROP {'MATERIALIZED ' if postgresql else ''}VIEW {summary}")
    for trigger, table in _TRIGGERS:
        run(f"DROP TRIGGER {trigger}{f' ON {table}' if postgresql else ''}")
    if postgresql:
        run("DROP TRIGGER queue_verification_after_insert ON checkpoints")
        for function in _FUNCTIONS:
            run(f"DROP FUNCTION {function}")
        run("DROP INDEX idx_checkpoints_paths_gin")
        # As the first revision makes it.
        run(
            "CREATE INDEX idx_checkpoints_paths_gin ON checkpoints USING gin"
            ' ((jsonb_path_query_array(file_manifest, \'$."files"[*]."path"\')) jsonb_path_ops)'
        )
    else:
        run("DROP VIEW task_lines")
    for table in (
        "idempotent_replies",
        "login_throttles",
        "provider_pauses",
        "resource_usage_daily",
    ):
        run(f"DROP TABLE {table}")
    _holds_with_ids(postgresql=postgresql)
    run("DROP INDEX idx_resource_usage_execution")
    run("ALTER TABLE api_tokens DROP COLUMN kind")
    run("DROP TABLE queue_shares")
    run("DROP INDEX idx_work_orders_claim")
    run("ALTER TABLE work_orders DROP COLUMN route")
    # As the first revision makes it.
    run(
        "CREATE INDEX idx_work_orders_claim"
        " ON work_orders (queue_name, priority DESC, fair_key, id) WHERE status = 'pending'"
    )


def _holds_with_ids(*, postgresql: bool) -> None:
    """Make the table of holds as the first revision makes it; holds of budgets that are gone go."""
    run = op.get_bind().exec_driver_sql
    run("DELETE FROM budget_holds WHERE budget_id NOT IN (SELECT id FROM resource_budgets)")
    if postgresql:
        run(
            "ALTER TABLE budget_holds DROP CONSTRAINT pk_budget_holds,"
            " ADD COLUMN id UUID DEFAULT gen_random_uuid() NOT NULL,"
            " ADD CONSTRAINT pk_budget_holds PRIMARY KEY (id),"
            " ADD CONSTRAINT uq_budget_holds UNIQUE (reservation_id, budget_id),"
            " ADD CONSTRAINT fk_budget_holds_reservation_id FOREIGN KEY (reservation_id)"
            " REFERENCES budget_reservations (id) ON DELETE CASCADE,"
            " ADD CONSTRAINT fk_budget_holds_budget_id FOREIGN KEY (budget_id)"
            " REFERENCES resource_budgets (id) ON DELETE CASCADE"
        )
        for table in ("budget_holds", "resource_budgets"):
            run(f"ALTER TABLE {table} RESET (fillfactor)")
    else:
        run("ALTER TABLE budget_holds RENAME TO holds_without_ids")
        run(_statement_of("CREATE TABLE budget_holds ("))
        names = "reservation_id, budget_id, resource_type, amount, settled_amount"
        run(f"INSERT INTO budget_holds ({names}) SELECT {names} FROM holds_without_ids")  # noqa: S608 - names of our own columns
        run("DROP TABLE holds_without_ids")
    run("CREATE INDEX idx_budget_holds_budget ON budget_holds (budget_id)")


def _statement_of(beginning: str) -> str:
    """Return a statement of the first revision on SQLite."""
    return next(one for one in script_of("0001", "sqlite") if one.startswith(beginning))
