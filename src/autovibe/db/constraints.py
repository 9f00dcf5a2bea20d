"""The reason and the sentence of every named rule of the schema; a test walks the models."""

from __future__ import annotations

from typing import Final, NamedTuple


class Rule(NamedTuple):
    """What a broken rule is called, for good, and what to do about it."""

    reason: str
    sentence: str


_KINDS: Final = {
    "ck_agent_executions_status": "AGENT_EXECUTION_STATUS",
    "ck_api_tokens_kind": "TOKEN_KIND",
    "ck_approval_requests_kind": "APPROVAL_KIND",
    "ck_approval_requests_status": "APPROVAL_STATUS",
    "ck_audit_log_outcome": "AUDIT_OUTCOME",
    "ck_budget_holds_resource_type": "RESOURCE_TYPE",
    "ck_budget_reservations_state": "RESERVATION_STATE",
    "ck_budgets_period": "BUDGET_PERIOD",
    "ck_budgets_resource_type": "RESOURCE_TYPE",
    "ck_chat_messages_sender_type": "SENDER_TYPE",
    "ck_chat_messages_type": "MESSAGE_TYPE",
    "ck_checkpoints_consistency": "CONSISTENCY",
    "ck_checkpoints_type": "CHECKPOINT_TYPE",
    "ck_checkpoints_verification_status": "VERIFICATION_STATUS",
    "ck_context_documents_type": "DOCUMENT_TYPE",
    "ck_execution_logs_level": "LOG_LEVEL",
    "ck_executions_status": "EXECUTION_STATUS",
    "ck_hub_checkpoints_status": "VERIFICATION_STATUS",
    "ck_hub_checkpoints_type": "HUB_CHECKPOINT_TYPE",
    "ck_hub_experiments_result": "EXPERIMENT_RESULT",
    "ck_hub_experiments_status": "EXPERIMENT_STATUS",
    "ck_hub_instances_status": "HUB_STATUS",
    "ck_hub_instances_type": "HUB_TYPE",
    "ck_machine_messages_status": "MACHINE_MESSAGE_STATUS",
    "ck_maintenance_log_status": "MAINTENANCE_STATUS",
    "ck_orders_status": "ORDER_STATUS",
    "ck_products_status": "PRODUCT_STATUS",
    "ck_project_members_role": "ROLE",
    "ck_projects_status": "PROJECT_STATUS",
    "ck_resource_usage_daily_type": "RESOURCE_TYPE",
    "ck_resource_usage_enforcement": "ENFORCEMENT",
    "ck_resource_usage_type": "RESOURCE_TYPE",
    "ck_task_dependencies_type": "DEPENDENCY_TYPE",
    "ck_tasks_permission": "PERMISSION_LEVEL",
    "ck_tasks_priority": "TASK_PRIORITY",
    "ck_tasks_status": "TASK_STATUS",
    "ck_tasks_type": "TASK_TYPE",
    "ck_tool_executions_status": "TOOL_EXECUTION_STATUS",
    "ck_users_role": "ROLE",
    "ck_verification_queue_status": "VERIFICATION_JOB_STATUS",
    "ck_work_orders_status": "WORK_ORDER_STATUS",
    "ck_work_orders_worker_type": "TASK_TYPE",
    "ck_worker_assignments_status": "ASSIGNMENT_STATUS",
    "ck_worker_capabilities_level": "CAPABILITY_LEVEL",
    "ck_workers_status": "WORKER_STATUS",
    "ck_workers_type": "TASK_TYPE",
    "valid_status_values": "MACHINE_STATUS",
}
"""Rules that a column holds one of some words; each word has its enum."""

_BOUNDS: Final = {
    "ck_api_tokens_one_owner": Rule(
        "TOKEN_HAS_SEVERAL_OWNERS", "Give a token one user, one machine or one worker."
    ),
    "ck_approval_requests_answered": Rule(
        "ANSWER_WITHOUT_TIME", "Set answered_at with the status answered, and only then."
    ),
    "ck_budget_holds_amounts": Rule("NEGATIVE_AMOUNT", "Give a hold of zero or more."),
    "ck_budgets_amounts": Rule("NEGATIVE_AMOUNT", "Give amounts of zero or more."),
    "ck_budgets_dates": Rule("PERIOD_ENDS_BEFORE_START", "Give a period that ends after it began."),
    "ck_checkpoints_verified_has_time": Rule(
        "VERIFIED_WITHOUT_TIME", "Set verified_at with the status verified."
    ),
    "ck_context_documents_version": Rule("VERSION_OUT_OF_RANGE", "Give a version of 1 or more."),
    "ck_exchange_rates_rate": Rule("RATE_NOT_POSITIVE", "Give a rate above zero."),
    "ck_executions_duration": Rule("NEGATIVE_DURATION", "Give a duration of zero or more."),
    "ck_hub_checkpoints_time": Rule(
        "VERIFIED_BEFORE_CREATED", "Give a verified_at that is not before created_at."
    ),
    "ck_hub_experiments_days": Rule("DURATION_NOT_POSITIVE", "Give a duration of 1 day or more."),
    "ck_machines_checkpoint_count": Rule("NEGATIVE_COUNT", "Give a count of zero or more."),
    "ck_machines_project_required": Rule(
        "MACHINE_WITHOUT_PROJECT", "Give the machine a project; only hubs have none."
    ),
    "ck_machines_terminated_after_spawned": Rule(
        "TERMINATED_BEFORE_SPAWNED", "Give a terminated_at that is after spawned_at."
    ),
    "ck_orders_amounts": Rule("NEGATIVE_AMOUNT", "Give prices of zero or more."),
    "ck_products_amounts": Rule("NEGATIVE_AMOUNT", "Give a price and a quantity of zero or more."),
    "ck_queue_shares_max_running": Rule("LIMIT_NOT_POSITIVE", "Give a limit above zero, or none."),
    "ck_rag_documents_chunks": Rule(
        "CHUNK_OUT_OF_RANGE", "Give a chunk_index from 0 to total_chunks - 1."
    ),
    "ck_task_dependencies_self": Rule(
        "TASK_DEPENDS_ON_ITSELF", "Name another task as the dependency."
    ),
    "ck_work_orders_retries": Rule("NEGATIVE_COUNT", "Give retries of zero or more."),
    "ck_workers_limits": Rule("LIMIT_NOT_POSITIVE", "Give limits above zero."),
    "positive_resource_amount": Rule("AMOUNT_NOT_POSITIVE", "Give an amount above zero."),
    "valid_greediness_range": Rule("GREEDINESS_OUT_OF_RANGE", "Give a greediness from 0 to 1."),
    "valid_verification_time": Rule(
        "VERIFIED_BEFORE_CREATED", "Give a verified_at that is not before created_at."
    ),
}

_KEYS: Final = {
    "idx_products_sku": ("DUPLICATE_SKU", "A product has this SKU"),
    "idx_projects_name": ("DUPLICATE_NAME", "A project has this name"),
    "idx_users_email": ("DUPLICATE_EMAIL", "A user has this e-mail address"),
    "idx_users_username": ("DUPLICATE_USERNAME", "A user has this name"),
    "uq_agent_executions_execution_id": (
        "DUPLICATE_AGENT_EXECUTION",
        "A run of an agent has this execution_id",
    ),
    "uq_idempotent_replies_key": ("DUPLICATE_REPLY", "A call has this idempotency key"),
    "uq_login_throttles_key": ("DUPLICATE_THROTTLE", "A throttle has this key"),
    "uq_queue_shares": ("DUPLICATE_QUEUE_SHARE", "A project has a share of this queue"),
    "uq_api_tokens_token_hash": ("DUPLICATE_TOKEN", "A token has this hash"),
    "uq_assignments_active_order": ("ORDER_ALREADY_CLAIMED", "A worker holds this order"),
    "uq_budget_reservations_idempotency": (
        "DUPLICATE_CALL",
        "A call of this execution has this idempotency key",
    ),
    "uq_budgets_project_type_period_start": (
        "DUPLICATE_BUDGET",
        "There is a budget of this resource for this period",
    ),
    "uq_checkpoints_proxmox_snapshot_id": ("DUPLICATE_SNAPSHOT", "A checkpoint has this snapshot"),
    "uq_context_document_versions": ("DUPLICATE_VERSION", "The document has this version"),
    "uq_exchange_rates": ("DUPLICATE_RATE", "The currency has a rate from this day on"),
    "uq_execution_logs_seq": ("DUPLICATE_LOG_LINE", "The execution has a line with this seq"),
    "uq_hub_instances_machine": ("MACHINE_IS_A_HUB", "The machine is another hub"),
    "uq_llm_round_table_results_result_id": (
        "DUPLICATE_RESULT",
        "A round table has this result_id",
    ),
    "uq_machines_live_vm": ("VM_IN_USE", "A living machine has this VM"),
    "uq_orders_order_number": ("DUPLICATE_ORDER_NUMBER", "An order has this number"),
    "uq_project_members": ("DUPLICATE_MEMBER", "The user is a member of this project"),
    "uq_rag_documents_chunk": ("DUPLICATE_CHUNK", "The source has a chunk with this index"),
    "uq_rag_documents_document_id": ("DUPLICATE_CHUNK", "A chunk has this document_id"),
    "uq_task_dependencies": ("DUPLICATE_DEPENDENCY", "The tasks depend on each other like this"),
    "uq_verification_queue_open": ("VERIFICATION_QUEUED", "The checkpoint is in the queue"),
    "uq_worker_assignments": ("DUPLICATE_ASSIGNMENT", "The worker has had this order"),
    "uq_worker_capabilities": ("DUPLICATE_CAPABILITY", "The worker has this capability"),
}

_HELD: Final = {
    "fk_chat_messages_conversation_id": ("CONVERSATION_HAS_MESSAGES", "its messages"),
    "fk_checkpoints_parent_checkpoint_id": ("CHECKPOINT_HAS_CHILDREN", "the checkpoints after it"),
    "fk_hub_checkpoints_hub_id": ("HUB_HAS_CHECKPOINTS", "its snapshots"),
    "fk_hub_experiments_base_checkpoint_id": ("CHECKPOINT_HAS_EXPERIMENTS", "its experiments"),
    "fk_hub_experiments_original_hub_id": ("HUB_HAS_EXPERIMENTS", "its experiments"),
    "fk_intelligent_machines_parent_checkpoint_id": (
        "CHECKPOINT_HAS_MACHINES",
        "the machines that were spawned from it",
    ),
    "fk_intelligent_machines_project_id": ("PROJECT_HAS_MACHINES", "its machines"),
}
"""Foreign keys that keep a row from being deleted."""

RULES: Final[dict[str, Rule]] = {
    **{
        name: Rule(f"UNKNOWN_{what}", f"Give a {what.lower().replace('_', ' ')} that exists.")
        for name, what in _KINDS.items()
    },
    **_BOUNDS,
    **{
        name: Rule(reason, f"{sentence} already; use that one or give another.")
        for name, (reason, sentence) in _KEYS.items()
    },
    **{
        name: Rule(reason, f"This is still needed; delete {what} first.")
        for name, (reason, what) in _HELD.items()
    },
}
"""By the name of the CHECK, UNIQUE, unique index or restricting FOREIGN KEY in `schema.md`."""
