"""Budgets kept by the database, usage per day, partitions, views, verification, logins."""

from __future__ import annotations

from alembic import op

from autovibe.db.migrations.script import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_VIEWS = ("machine_performance_metrics", "project_resource_summary")
_SUMMARIES = ("mv_machine_performance", "mv_project_resource_summary")
_TRIGGERS = (
    ("enforce_budget_after_insert", "resource_usage"),
    ("roll_up_usage_after_insert", "resource_usage"),
    ("schedule_checkpoint_verification", "checkpoints"),
    ("finish_checkpoint_verification", "checkpoints"),
)
_FUNCTIONS = (
    "add_usage_to_daily()",
    "enforce_resource_budget()",
    "verify_checkpoint_integrity()",
    "queue_checkpoint_verification()",
    "finish_checkpoint_verification()",
    "create_monthly_partition(text, date)",
    "cleanup_old_resource_usage(timestamptz)",
)


def upgrade() -> None:
    """Make everything, and fill the days from the rows that are there."""
    run_script(op.get_bind(), "0003")


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
    for table in ("idempotent_replies", "login_throttles", "resource_usage_daily"):
        run(f"DROP TABLE {table}")
    run("ALTER TABLE api_tokens DROP COLUMN kind")
    run("DROP TABLE queue_shares")
    run("DROP INDEX idx_work_orders_claim")
    run("ALTER TABLE work_orders DROP COLUMN route")
    # As the first revision makes it.
    run(
        "CREATE INDEX idx_work_orders_claim ON work_orders (queue_name, priority DESC, fair_key, id)"
        " WHERE status = 'pending'"
    )
