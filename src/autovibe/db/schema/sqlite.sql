-- The schema as the migrations make it; a test compares. Statements are parted by blank
-- lines. Written by `python -m autovibe.testing.schema_dump`; do not edit.

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)

CREATE TABLE outbox_events (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    topic VARCHAR(100) NOT NULL,
    payload JSON NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    relayed_at DATETIME
)

CREATE TABLE audit_log (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    actor_type VARCHAR(20) NOT NULL,
    actor_id VARCHAR(100) NOT NULL,
    operation VARCHAR(200) NOT NULL,
    resource_type VARCHAR(50),
    resource_id VARCHAR(100),
    outcome VARCHAR(20) NOT NULL,
    reason VARCHAR(100),
    request_id VARCHAR(100),
    details JSON DEFAULT '{}' NOT NULL,
    CONSTRAINT ck_audit_log_outcome CHECK (outcome IN ('ok','refused','failed'))
)

CREATE TABLE audit_seals (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    first_id BIGINT NOT NULL,
    last_id BIGINT NOT NULL,
    rows_hash CHAR(64) NOT NULL,
    prev_hash CHAR(64) NOT NULL,
    hash CHAR(64) NOT NULL,
    sealed_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL
)

CREATE TABLE maintenance_log (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    operation VARCHAR(100) NOT NULL,
    affected_rows BIGINT DEFAULT '0' NOT NULL,
    performed_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    status VARCHAR(20) DEFAULT 'success' NOT NULL,
    duration_ms INTEGER,
    details JSON DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_maintenance_log PRIMARY KEY (id),
    CONSTRAINT ck_maintenance_log_status CHECK (status IN ('success','failed'))
)

CREATE TABLE projects (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description TEXT,
    greediness BIGINT NOT NULL,
    status VARCHAR(50) DEFAULT 'active' NOT NULL,
    initial_checkpoint_id CHAR(32),
    current_checkpoint_id CHAR(32),
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_projects PRIMARY KEY (id),
    CONSTRAINT valid_greediness_range CHECK (greediness >= 0 AND greediness <= 100),
    CONSTRAINT ck_projects_status CHECK (status IN ('active','inactive','archived'))
)

CREATE TABLE users (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    username VARCHAR(50) NOT NULL,
    email VARCHAR(255) NOT NULL,
    hashed_password VARCHAR(255) NOT NULL,
    full_name VARCHAR(255),
    role VARCHAR(20) NOT NULL,
    is_active BOOLEAN DEFAULT 1 NOT NULL,
    is_verified BOOLEAN DEFAULT 0 NOT NULL,
    is_service_account BOOLEAN DEFAULT 0 NOT NULL,
    last_login_at DATETIME,
    settings JSON DEFAULT '{}' NOT NULL,
    deleted_at DATETIME,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT ck_users_role CHECK (role IN ('admin','developer','viewer'))
)

CREATE TABLE instances (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    host VARCHAR(255) NOT NULL,
    boot_id VARCHAR(64) NOT NULL,
    pid INTEGER NOT NULL,
    started_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    heartbeat_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_instances PRIMARY KEY (id)
)

CREATE TABLE exchange_rates (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    currency VARCHAR(3) NOT NULL,
    rate_to_cad BIGINT NOT NULL,
    valid_from DATETIME NOT NULL,
    source VARCHAR(100) NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_exchange_rates PRIMARY KEY (id),
    CONSTRAINT ck_exchange_rates_rate CHECK (rate_to_cad > 0),
    CONSTRAINT uq_exchange_rates UNIQUE (currency, valid_from)
)

CREATE TABLE workers (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    name VARCHAR(100) NOT NULL,
    worker_type VARCHAR(20) NOT NULL,
    status VARCHAR(20) NOT NULL,
    version VARCHAR(50),
    max_concurrent_tasks INTEGER DEFAULT '1' NOT NULL,
    timeout_seconds INTEGER DEFAULT '3600' NOT NULL,
    context_window_size INTEGER DEFAULT '200000' NOT NULL,
    config JSON DEFAULT '{}' NOT NULL,
    capabilities JSON DEFAULT '[]' NOT NULL,
    last_heartbeat_at DATETIME,
    deleted_at DATETIME,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_workers PRIMARY KEY (id),
    CONSTRAINT ck_workers_type CHECK (worker_type IN ('feature','bugfix','test','docs','refactor','review')),
    CONSTRAINT ck_workers_status CHECK (status IN ('idle','busy','offline','error')),
    CONSTRAINT ck_workers_limits CHECK (max_concurrent_tasks > 0 AND timeout_seconds > 0 AND context_window_size > 0)
)

CREATE TABLE intelligent_machines (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    machine_type VARCHAR(50) NOT NULL,
    status VARCHAR(50) DEFAULT 'spawning' NOT NULL,
    project_id CHAR(32),
    parent_checkpoint_id CHAR(32),
    last_checkpoint_id CHAR(32),
    spawned_by_hub_id CHAR(32),
    parent_machine_id CHAR(32),
    worker_id CHAR(32),
    hypervisor VARCHAR(30) DEFAULT 'proxmox' NOT NULL,
    vm_id VARCHAR(100),
    vm_node VARCHAR(100),
    hub_vm_id VARCHAR(100),
    original_prompt TEXT,
    file_modifications JSON DEFAULT '{}' NOT NULL,
    resource_constraints JSON DEFAULT '{}' NOT NULL,
    resource_usage JSON DEFAULT '{}' NOT NULL,
    current_progress TEXT,
    error_message TEXT,
    checkpoint_count INTEGER DEFAULT '0' NOT NULL,
    spawned_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    terminated_at DATETIME,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_intelligent_machines PRIMARY KEY (id),
    CONSTRAINT valid_status_values CHECK (status IN ('spawning','active','working','checkpointing','terminated','error')),
    CONSTRAINT ck_machines_project_required CHECK (machine_type = 'hub' OR project_id IS NOT NULL),
    CONSTRAINT ck_machines_terminated_after_spawned CHECK (terminated_at IS NULL OR terminated_at > spawned_at),
    CONSTRAINT ck_machines_checkpoint_count CHECK (checkpoint_count >= 0),
    CONSTRAINT fk_intelligent_machines_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE RESTRICT,
    CONSTRAINT fk_intelligent_machines_parent_checkpoint_id FOREIGN KEY(parent_checkpoint_id) REFERENCES checkpoints (id),
    CONSTRAINT fk_intelligent_machines_spawned_by_hub_id FOREIGN KEY(spawned_by_hub_id) REFERENCES intelligent_machines (id) ON DELETE SET NULL,
    CONSTRAINT fk_intelligent_machines_parent_machine_id FOREIGN KEY(parent_machine_id) REFERENCES intelligent_machines (id) ON DELETE SET NULL,
    CONSTRAINT fk_intelligent_machines_worker_id FOREIGN KEY(worker_id) REFERENCES workers (id) ON DELETE SET NULL
)

CREATE TABLE project_members (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    project_id CHAR(32) NOT NULL,
    user_id CHAR(32) NOT NULL,
    role VARCHAR(20) NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_project_members PRIMARY KEY (id),
    CONSTRAINT ck_project_members_role CHECK (role IN ('admin','developer','viewer')),
    CONSTRAINT uq_project_members UNIQUE (project_id, user_id),
    CONSTRAINT fk_project_members_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_project_members_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
)

CREATE TABLE tasks (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    project_id CHAR(32),
    title VARCHAR(255) NOT NULL,
    description TEXT,
    task_type VARCHAR(20) NOT NULL,
    permission_level VARCHAR(20) NOT NULL,
    priority VARCHAR(10) DEFAULT 'normal' NOT NULL,
    status VARCHAR(20) DEFAULT 'pending' NOT NULL,
    block_reason VARCHAR(50),
    repository_url VARCHAR(500),
    branch_name VARCHAR(255),
    issue_number INTEGER,
    pr_number INTEGER,
    context JSON DEFAULT '{}' NOT NULL,
    created_by CHAR(32),
    assigned_to CHAR(32),
    parent_task_id CHAR(32),
    base_checkpoint_id CHAR(32),
    result_checkpoint_id CHAR(32),
    started_at DATETIME,
    completed_at DATETIME,
    deleted_at DATETIME,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_tasks PRIMARY KEY (id),
    CONSTRAINT ck_tasks_type CHECK (task_type IN ('feature','bugfix','test','docs','refactor','review')),
    CONSTRAINT ck_tasks_permission CHECK (permission_level IN ('autonomous','supervised','human_required')),
    CONSTRAINT ck_tasks_priority CHECK (priority IN ('low','normal','high','critical')),
    CONSTRAINT ck_tasks_status CHECK (status IN ('pending','queued','in_progress','blocked','completed','failed','cancelled')),
    CONSTRAINT fk_tasks_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE SET NULL,
    CONSTRAINT fk_tasks_created_by FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT fk_tasks_assigned_to FOREIGN KEY(assigned_to) REFERENCES workers (id) ON DELETE SET NULL,
    CONSTRAINT fk_tasks_parent_task_id FOREIGN KEY(parent_task_id) REFERENCES tasks (id) ON DELETE CASCADE
)

CREATE TABLE checkpoints (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    project_id CHAR(32) NOT NULL,
    parent_checkpoint_id CHAR(32),
    creating_machine_id CHAR(32),
    checkpoint_type VARCHAR(50) NOT NULL,
    depth INTEGER DEFAULT '0' NOT NULL,
    jump_checkpoint_id CHAR(32),
    jump_depth INTEGER,
    hypervisor VARCHAR(30),
    proxmox_snapshot_id VARCHAR(255),
    vm_id VARCHAR(100),
    manifest_root CHAR(64),
    manifest_file_count BIGINT,
    file_manifest JSON DEFAULT '{}' NOT NULL,
    description TEXT,
    creation_context TEXT,
    size_bytes BIGINT,
    stored_bytes BIGINT,
    compression_ratio BIGINT,
    agent_session_id VARCHAR(200),
    last_settled_call_id CHAR(32),
    consistency VARCHAR(30) DEFAULT 'exact' NOT NULL,
    verification_status VARCHAR(50) DEFAULT 'pending' NOT NULL,
    verified_at DATETIME,
    pruned_at DATETIME,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_checkpoints PRIMARY KEY (id),
    CONSTRAINT valid_verification_time CHECK (verified_at IS NULL OR verified_at >= created_at),
    CONSTRAINT ck_checkpoints_type CHECK (checkpoint_type IN ('genesis','automatic','manual','final','hub_daily')),
    CONSTRAINT ck_checkpoints_verification_status CHECK (verification_status IN ('pending','verifying','verified','failed')),
    CONSTRAINT ck_checkpoints_verified_has_time CHECK (verification_status <> 'verified' OR verified_at IS NOT NULL),
    CONSTRAINT ck_checkpoints_consistency CHECK (consistency IN ('exact','fuzzy_tree','conversation_behind')),
    CONSTRAINT uq_checkpoints_proxmox_snapshot_id UNIQUE (proxmox_snapshot_id),
    CONSTRAINT fk_checkpoints_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_checkpoints_parent_checkpoint_id FOREIGN KEY(parent_checkpoint_id) REFERENCES checkpoints (id),
    CONSTRAINT fk_checkpoints_creating_machine_id FOREIGN KEY(creating_machine_id) REFERENCES intelligent_machines (id) ON DELETE SET NULL
)

CREATE TABLE api_tokens (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    user_id CHAR(32),
    machine_id CHAR(32),
    worker_id CHAR(32),
    name VARCHAR(255) NOT NULL,
    token_hash CHAR(64) NOT NULL,
    scopes JSON DEFAULT '[]' NOT NULL,
    expires_at DATETIME,
    last_used_at DATETIME,
    revoked_at DATETIME,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL, kind VARCHAR(20) DEFAULT 'api' NOT NULL CONSTRAINT ck_api_tokens_kind CHECK (kind IN ('api','session','verification','link')),
    CONSTRAINT pk_api_tokens PRIMARY KEY (id),
    CONSTRAINT ck_api_tokens_one_owner CHECK ((user_id IS NULL OR machine_id IS NULL) AND (user_id IS NULL OR worker_id IS NULL) AND (machine_id IS NULL OR worker_id IS NULL)),
    CONSTRAINT uq_api_tokens_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_api_tokens_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_api_tokens_machine_id FOREIGN KEY(machine_id) REFERENCES intelligent_machines (id) ON DELETE CASCADE,
    CONSTRAINT fk_api_tokens_worker_id FOREIGN KEY(worker_id) REFERENCES workers (id) ON DELETE CASCADE
)

CREATE TABLE resource_usage (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    recorded_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    project_id CHAR(32) NOT NULL,
    machine_id CHAR(32),
    execution_id CHAR(32),
    reservation_id CHAR(32),
    resource_type VARCHAR(50) NOT NULL,
    resource_subtype VARCHAR(100),
    amount BIGINT NOT NULL,
    unit VARCHAR(20) NOT NULL,
    cost_cad BIGINT,
    enforcement VARCHAR(20) DEFAULT 'authorise' NOT NULL,
    billing_period_start DATE,
    billing_period_end DATE,
    metadata JSON DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_resource_usage PRIMARY KEY (id, recorded_at),
    CONSTRAINT positive_resource_amount CHECK (amount > 0),
    CONSTRAINT ck_resource_usage_type CHECK (resource_type IN ('money','time','api_calls','cpu','memory','storage','network')),
    CONSTRAINT ck_resource_usage_enforcement CHECK (enforcement IN ('authorise','record')),
    CONSTRAINT fk_resource_usage_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_resource_usage_machine_id FOREIGN KEY(machine_id) REFERENCES intelligent_machines (id) ON DELETE SET NULL
)

CREATE TABLE resource_budgets (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    project_id CHAR(32) NOT NULL,
    task_id CHAR(32),
    resource_type VARCHAR(50) NOT NULL,
    budget_period VARCHAR(50) NOT NULL,
    period_start DATE NOT NULL,
    period_end DATE NOT NULL,
    allocated_amount BIGINT NOT NULL,
    used_amount BIGINT DEFAULT '0' NOT NULL,
    reserved_amount BIGINT DEFAULT '0' NOT NULL,
    unit VARCHAR(20) NOT NULL,
    auto_reset BOOLEAN DEFAULT 1 NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_resource_budgets PRIMARY KEY (id),
    CONSTRAINT ck_budgets_resource_type CHECK (resource_type IN ('money','time','api_calls','cpu','memory','storage','network')),
    CONSTRAINT ck_budgets_period CHECK (budget_period IN ('daily','weekly','monthly','total')),
    CONSTRAINT ck_budgets_dates CHECK (period_end >= period_start),
    CONSTRAINT ck_budgets_amounts CHECK (allocated_amount >= 0 AND used_amount >= 0 AND reserved_amount >= 0),
    CONSTRAINT fk_resource_budgets_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_resource_budgets_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
)

CREATE TABLE budget_reservations (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    project_id CHAR(32) NOT NULL,
    task_id CHAR(32),
    machine_id CHAR(32),
    execution_id CHAR(32),
    lease_generation INTEGER DEFAULT '0' NOT NULL,
    instance_id CHAR(32) NOT NULL,
    state VARCHAR(20) DEFAULT 'reserved' NOT NULL,
    idempotency_key VARCHAR(200) NOT NULL,
    reserved_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    forwarded_at DATETIME,
    finished_at DATETIME,
    expires_at DATETIME NOT NULL,
    metadata JSON DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_budget_reservations PRIMARY KEY (id),
    CONSTRAINT ck_budget_reservations_state CHECK (state IN ('reserved','forwarded','settled','released','expired','uncertain')),
    CONSTRAINT uq_budget_reservations_idempotency UNIQUE (execution_id, idempotency_key),
    CONSTRAINT fk_budget_reservations_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_budget_reservations_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE SET NULL,
    CONSTRAINT fk_budget_reservations_machine_id FOREIGN KEY(machine_id) REFERENCES intelligent_machines (id) ON DELETE SET NULL
)

CREATE TABLE task_dependencies (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    task_id CHAR(32) NOT NULL,
    depends_on_task_id CHAR(32) NOT NULL,
    dependency_type VARCHAR(20) DEFAULT 'blocks' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_task_dependencies PRIMARY KEY (id),
    CONSTRAINT ck_task_dependencies_type CHECK (dependency_type IN ('blocks','related','duplicate')),
    CONSTRAINT uq_task_dependencies UNIQUE (task_id, depends_on_task_id),
    CONSTRAINT ck_task_dependencies_self CHECK (task_id <> depends_on_task_id),
    CONSTRAINT fk_task_dependencies_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE,
    CONSTRAINT fk_task_dependencies_depends_on_task_id FOREIGN KEY(depends_on_task_id) REFERENCES tasks (id) ON DELETE CASCADE
)

CREATE TABLE work_orders (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    task_id CHAR(32) NOT NULL,
    queue_name VARCHAR(50) NOT NULL,
    status VARCHAR(20) DEFAULT 'pending' NOT NULL,
    priority SMALLINT DEFAULT '0' NOT NULL,
    fair_key DOUBLE DEFAULT '0' NOT NULL,
    worker_type VARCHAR(20),
    required_capabilities JSON DEFAULT '[]' NOT NULL,
    payload JSON NOT NULL,
    result JSON,
    error_message TEXT,
    retry_count INTEGER DEFAULT '0' NOT NULL,
    max_retries INTEGER DEFAULT '3' NOT NULL,
    timeout_seconds INTEGER DEFAULT '3600' NOT NULL,
    lease_generation INTEGER DEFAULT '0' NOT NULL,
    lease_expires_at DATETIME,
    enqueued_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    available_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    claimed_at DATETIME,
    completed_at DATETIME,
    expires_at DATETIME,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL, route VARCHAR(2000) DEFAULT '*|*|*|' NOT NULL,
    CONSTRAINT pk_work_orders PRIMARY KEY (id),
    CONSTRAINT ck_work_orders_status CHECK (status IN ('pending','claimed','completed','failed','expired')),
    CONSTRAINT ck_work_orders_retries CHECK (retry_count >= 0 AND max_retries >= 0),
    CONSTRAINT ck_work_orders_worker_type CHECK (worker_type IN ('feature','bugfix','test','docs','refactor','review')),
    CONSTRAINT fk_work_orders_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
)

CREATE TABLE checkpoint_verification_queue (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    checkpoint_id CHAR(32) NOT NULL,
    queued_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    status VARCHAR(20) DEFAULT 'queued' NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    locked_by VARCHAR(100),
    locked_at DATETIME,
    finished_at DATETIME,
    last_error TEXT,
    CONSTRAINT pk_checkpoint_verification_queue PRIMARY KEY (id),
    CONSTRAINT ck_verification_queue_status CHECK (status IN ('queued','processing','done','failed')),
    CONSTRAINT fk_checkpoint_verification_queue_checkpoint_id FOREIGN KEY(checkpoint_id) REFERENCES checkpoints (id) ON DELETE CASCADE
)

CREATE TABLE worker_assignments (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    worker_id CHAR(32) NOT NULL,
    work_order_id CHAR(32) NOT NULL,
    machine_id CHAR(32),
    lease_generation INTEGER DEFAULT '0' NOT NULL,
    status VARCHAR(20) DEFAULT 'active' NOT NULL,
    assigned_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    completed_at DATETIME,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_worker_assignments PRIMARY KEY (id),
    CONSTRAINT ck_worker_assignments_status CHECK (status IN ('active','completed','failed','timeout')),
    CONSTRAINT uq_worker_assignments UNIQUE (worker_id, work_order_id),
    CONSTRAINT fk_worker_assignments_worker_id FOREIGN KEY(worker_id) REFERENCES workers (id) ON DELETE CASCADE,
    CONSTRAINT fk_worker_assignments_work_order_id FOREIGN KEY(work_order_id) REFERENCES work_orders (id) ON DELETE CASCADE,
    CONSTRAINT fk_worker_assignments_machine_id FOREIGN KEY(machine_id) REFERENCES intelligent_machines (id) ON DELETE SET NULL
)

CREATE TABLE executions (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    task_id CHAR(32) NOT NULL,
    worker_id CHAR(32) NOT NULL,
    work_order_id CHAR(32),
    machine_id CHAR(32),
    result_checkpoint_id CHAR(32),
    lease_generation INTEGER DEFAULT '0' NOT NULL,
    attempt INTEGER DEFAULT '1' NOT NULL,
    correlation_id VARCHAR(64) NOT NULL,
    status VARCHAR(20) DEFAULT 'running' NOT NULL,
    exit_code INTEGER,
    stdout_log TEXT,
    stderr_log TEXT,
    metrics JSON DEFAULT '{}' NOT NULL,
    started_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    completed_at DATETIME,
    duration_seconds INTEGER,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_executions PRIMARY KEY (id),
    CONSTRAINT ck_executions_status CHECK (status IN ('running','completed','failed','timeout','cancelled')),
    CONSTRAINT ck_executions_duration CHECK (duration_seconds IS NULL OR duration_seconds >= 0),
    CONSTRAINT fk_executions_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE,
    CONSTRAINT fk_executions_worker_id FOREIGN KEY(worker_id) REFERENCES workers (id) ON DELETE CASCADE,
    CONSTRAINT fk_executions_work_order_id FOREIGN KEY(work_order_id) REFERENCES work_orders (id) ON DELETE SET NULL,
    CONSTRAINT fk_executions_machine_id FOREIGN KEY(machine_id) REFERENCES intelligent_machines (id) ON DELETE SET NULL,
    CONSTRAINT fk_executions_result_checkpoint_id FOREIGN KEY(result_checkpoint_id) REFERENCES checkpoints (id) ON DELETE SET NULL
)

CREATE TABLE execution_logs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    execution_id CHAR(32) NOT NULL,
    seq BIGINT NOT NULL,
    level VARCHAR(10) NOT NULL,
    message TEXT NOT NULL,
    logged_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    metadata JSON DEFAULT '{}' NOT NULL,
    CONSTRAINT ck_execution_logs_level CHECK (level IN ('DEBUG','INFO','WARNING','ERROR','CRITICAL')),
    CONSTRAINT uq_execution_logs_seq UNIQUE (execution_id, seq),
    CONSTRAINT fk_execution_logs_execution_id FOREIGN KEY(execution_id) REFERENCES executions (id) ON DELETE CASCADE
)

CREATE TABLE products (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    sku VARCHAR(100) NOT NULL,
    name VARCHAR(500) NOT NULL,
    description TEXT,
    category VARCHAR(100),
    price BIGINT NOT NULL,
    inventory_quantity INTEGER DEFAULT '0' NOT NULL,
    status VARCHAR(50) DEFAULT 'draft' NOT NULL,
    tags JSON,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_products PRIMARY KEY (id),
    CONSTRAINT ck_products_status CHECK (status IN ('draft','published','archived')),
    CONSTRAINT ck_products_amounts CHECK (price >= 0 AND inventory_quantity >= 0)
)

CREATE TABLE context_documents (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    project_id CHAR(32),
    title VARCHAR(255) NOT NULL,
    document_type VARCHAR(50) NOT NULL,
    content TEXT NOT NULL,
    repository_url VARCHAR(500),
    tags JSON DEFAULT '[]' NOT NULL,
    created_by CHAR(32),
    version INTEGER DEFAULT '1' NOT NULL,
    deleted_at DATETIME,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_context_documents PRIMARY KEY (id),
    CONSTRAINT ck_context_documents_type CHECK (document_type IN ('design','plan','specification','guide','reference')),
    CONSTRAINT ck_context_documents_version CHECK (version >= 1),
    CONSTRAINT fk_context_documents_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE SET NULL,
    CONSTRAINT fk_context_documents_created_by FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE SET NULL
)

CREATE TABLE orders (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    order_number VARCHAR(50) NOT NULL,
    user_id CHAR(32),
    status VARCHAR(50) DEFAULT 'pending' NOT NULL,
    total_price BIGINT NOT NULL,
    subtotal BIGINT NOT NULL,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_orders PRIMARY KEY (id),
    CONSTRAINT ck_orders_status CHECK (status IN ('pending','processing','completed','cancelled')),
    CONSTRAINT ck_orders_amounts CHECK (subtotal >= 0 AND total_price >= 0),
    CONSTRAINT uq_orders_order_number UNIQUE (order_number),
    CONSTRAINT fk_orders_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE SET NULL
)

CREATE TABLE worker_capabilities (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    worker_id CHAR(32) NOT NULL,
    capability_name VARCHAR(100) NOT NULL,
    capability_level VARCHAR(20) DEFAULT 'intermediate' NOT NULL,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_worker_capabilities PRIMARY KEY (id),
    CONSTRAINT ck_worker_capabilities_level CHECK (capability_level IN ('beginner','intermediate','advanced','expert')),
    CONSTRAINT uq_worker_capabilities UNIQUE (worker_id, capability_name),
    CONSTRAINT fk_worker_capabilities_worker_id FOREIGN KEY(worker_id) REFERENCES workers (id) ON DELETE CASCADE
)

CREATE TABLE chat_conversations (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    title VARCHAR(255),
    project_id CHAR(32),
    task_id CHAR(32),
    created_by CHAR(32),
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_chat_conversations PRIMARY KEY (id),
    CONSTRAINT fk_chat_conversations_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE SET NULL,
    CONSTRAINT fk_chat_conversations_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE SET NULL,
    CONSTRAINT fk_chat_conversations_created_by FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE SET NULL
)

CREATE TABLE context_document_versions (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    document_id CHAR(32) NOT NULL,
    version INTEGER NOT NULL,
    title VARCHAR(255) NOT NULL,
    content TEXT NOT NULL,
    tags JSON DEFAULT '[]' NOT NULL,
    created_by CHAR(32),
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_context_document_versions PRIMARY KEY (id),
    CONSTRAINT uq_context_document_versions UNIQUE (document_id, version),
    CONSTRAINT fk_context_document_versions_document_id FOREIGN KEY(document_id) REFERENCES context_documents (id) ON DELETE CASCADE,
    CONSTRAINT fk_context_document_versions_created_by FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE SET NULL
)

CREATE TABLE hub_instances (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    machine_id CHAR(32),
    type VARCHAR(50) NOT NULL,
    status VARCHAR(50) NOT NULL,
    hypervisor VARCHAR(30) DEFAULT 'proxmox' NOT NULL,
    vm_id VARCHAR(100) NOT NULL,
    vm_node VARCHAR(100),
    version VARCHAR(50),
    configuration JSON DEFAULT '{}' NOT NULL,
    parent_hub_id CHAR(32),
    experiment_id CHAR(32),
    spawned_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    last_checkpoint_at DATETIME,
    terminated_at DATETIME,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_hub_instances PRIMARY KEY (id),
    CONSTRAINT ck_hub_instances_type CHECK (type IN ('primary','development','experimental','domain_specific')),
    CONSTRAINT ck_hub_instances_status CHECK (status IN ('active','inactive','experimental','retiring')),
    CONSTRAINT uq_hub_instances_machine UNIQUE (machine_id),
    CONSTRAINT fk_hub_instances_machine_id FOREIGN KEY(machine_id) REFERENCES intelligent_machines (id) ON DELETE SET NULL,
    CONSTRAINT fk_hub_instances_parent_hub_id FOREIGN KEY(parent_hub_id) REFERENCES hub_instances (id) ON DELETE SET NULL,
    CONSTRAINT fk_hub_instances_experiment_id FOREIGN KEY(experiment_id) REFERENCES hub_experiments (id) ON DELETE SET NULL
)

CREATE TABLE machine_messages (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    sender_machine_id CHAR(32),
    recipient_machine_id CHAR(32) NOT NULL,
    message_type VARCHAR(200) NOT NULL,
    payload JSON NOT NULL,
    correlation_id VARCHAR(64),
    status VARCHAR(20) DEFAULT 'queued' NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    enqueued_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    delivered_at DATETIME,
    processed_at DATETIME,
    expires_at DATETIME,
    error_message TEXT,
    metadata JSON DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_machine_messages PRIMARY KEY (id),
    CONSTRAINT ck_machine_messages_status CHECK (status IN ('queued','delivered','processed','failed','dead')),
    CONSTRAINT fk_machine_messages_sender_machine_id FOREIGN KEY(sender_machine_id) REFERENCES intelligent_machines (id) ON DELETE SET NULL,
    CONSTRAINT fk_machine_messages_recipient_machine_id FOREIGN KEY(recipient_machine_id) REFERENCES intelligent_machines (id) ON DELETE CASCADE
)

CREATE TABLE rag_documents (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    document_id VARCHAR(100) NOT NULL,
    parent_document_id VARCHAR(100),
    context_document_id CHAR(32),
    source_path VARCHAR(500),
    content TEXT NOT NULL,
    content_hash CHAR(64) NOT NULL,
    chunk_index INTEGER,
    total_chunks INTEGER,
    embedding_model VARCHAR(100),
    embedding JSON,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_rag_documents PRIMARY KEY (id),
    CONSTRAINT uq_rag_documents_document_id UNIQUE (document_id),
    CONSTRAINT uq_rag_documents_chunk UNIQUE (parent_document_id, chunk_index),
    CONSTRAINT ck_rag_documents_chunks CHECK (chunk_index IS NULL OR total_chunks IS NULL OR (chunk_index >= 0 AND chunk_index < total_chunks)),
    CONSTRAINT fk_rag_documents_context_document_id FOREIGN KEY(context_document_id) REFERENCES context_documents (id) ON DELETE CASCADE
)

CREATE TABLE chat_messages (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    conversation_id CHAR(32) NOT NULL,
    sender_type VARCHAR(10) NOT NULL,
    sender_id CHAR(32),
    message TEXT NOT NULL,
    message_type VARCHAR(20) DEFAULT 'text' NOT NULL,
    parent_message_id CHAR(32),
    edited_at DATETIME,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_chat_messages PRIMARY KEY (id),
    CONSTRAINT ck_chat_messages_sender_type CHECK (sender_type IN ('user','worker','system','controller')),
    CONSTRAINT ck_chat_messages_type CHECK (message_type IN ('text','question','response','status','error')),
    CONSTRAINT fk_chat_messages_conversation_id FOREIGN KEY(conversation_id) REFERENCES chat_conversations (id) ON DELETE RESTRICT,
    CONSTRAINT fk_chat_messages_parent_message_id FOREIGN KEY(parent_message_id) REFERENCES chat_messages (id) ON DELETE SET NULL
)

CREATE TABLE hub_checkpoints (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    hub_id CHAR(32) NOT NULL,
    checkpoint_type VARCHAR(50) NOT NULL,
    proxmox_snapshot_id VARCHAR(200) NOT NULL,
    trigger_reason VARCHAR(200),
    system_metrics JSON,
    active_machines INTEGER DEFAULT '0' NOT NULL,
    active_projects INTEGER DEFAULT '0' NOT NULL,
    checkpoint_size_gb BIGINT,
    verification_status VARCHAR(50) DEFAULT 'pending' NOT NULL,
    verified_at DATETIME,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_hub_checkpoints PRIMARY KEY (id),
    CONSTRAINT ck_hub_checkpoints_type CHECK (checkpoint_type IN ('daily','manual','pre_experiment','recovery')),
    CONSTRAINT ck_hub_checkpoints_status CHECK (verification_status IN ('pending','verifying','verified','failed')),
    CONSTRAINT ck_hub_checkpoints_time CHECK (verified_at IS NULL OR verified_at >= created_at),
    CONSTRAINT fk_hub_checkpoints_hub_id FOREIGN KEY(hub_id) REFERENCES hub_instances (id)
)

CREATE TABLE agent_executions (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    execution_id VARCHAR(100) NOT NULL,
    task_execution_id CHAR(32),
    machine_id CHAR(32),
    agent_name VARCHAR(100) NOT NULL,
    prompt TEXT NOT NULL,
    status VARCHAR(50) DEFAULT 'running' NOT NULL,
    result JSON,
    tokens_used INTEGER,
    duration_ms INTEGER,
    completed_at DATETIME,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_agent_executions PRIMARY KEY (id),
    CONSTRAINT ck_agent_executions_status CHECK (status IN ('running','completed','failed')),
    CONSTRAINT uq_agent_executions_execution_id UNIQUE (execution_id),
    CONSTRAINT fk_agent_executions_task_execution_id FOREIGN KEY(task_execution_id) REFERENCES executions (id) ON DELETE SET NULL,
    CONSTRAINT fk_agent_executions_machine_id FOREIGN KEY(machine_id) REFERENCES intelligent_machines (id) ON DELETE SET NULL
)

CREATE TABLE approval_requests (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    task_id CHAR(32),
    execution_id CHAR(32),
    machine_id CHAR(32),
    conversation_id CHAR(32),
    kind VARCHAR(20) NOT NULL,
    title VARCHAR(255) NOT NULL,
    details JSON DEFAULT '{}' NOT NULL,
    options JSON DEFAULT '[]' NOT NULL,
    default_answer VARCHAR(255),
    deadline_at DATETIME,
    status VARCHAR(20) DEFAULT 'open' NOT NULL,
    answer JSON,
    answered_by CHAR(32),
    answered_at DATETIME,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_approval_requests PRIMARY KEY (id),
    CONSTRAINT ck_approval_requests_kind CHECK (kind IN ('start','tool_use','question','apply','budget')),
    CONSTRAINT ck_approval_requests_status CHECK (status IN ('open','answered','expired','cancelled')),
    CONSTRAINT ck_approval_requests_answered CHECK ((status = 'answered') = (answered_at IS NOT NULL)),
    CONSTRAINT fk_approval_requests_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE,
    CONSTRAINT fk_approval_requests_execution_id FOREIGN KEY(execution_id) REFERENCES executions (id) ON DELETE SET NULL,
    CONSTRAINT fk_approval_requests_machine_id FOREIGN KEY(machine_id) REFERENCES intelligent_machines (id) ON DELETE SET NULL,
    CONSTRAINT fk_approval_requests_conversation_id FOREIGN KEY(conversation_id) REFERENCES chat_conversations (id) ON DELETE SET NULL,
    CONSTRAINT fk_approval_requests_answered_by FOREIGN KEY(answered_by) REFERENCES users (id) ON DELETE SET NULL
)

CREATE TABLE chat_attachments (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    message_id CHAR(32) NOT NULL,
    file_name VARCHAR(255) NOT NULL,
    file_path VARCHAR(500) NOT NULL,
    file_type VARCHAR(50),
    file_size_bytes BIGINT,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_chat_attachments PRIMARY KEY (id),
    CONSTRAINT fk_chat_attachments_message_id FOREIGN KEY(message_id) REFERENCES chat_messages (id) ON DELETE CASCADE
)

CREATE TABLE hub_experiments (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    name VARCHAR(200) NOT NULL,
    description TEXT,
    base_checkpoint_id CHAR(32) NOT NULL,
    original_hub_id CHAR(32) NOT NULL,
    experimental_hub_id CHAR(32),
    configuration_changes JSON NOT NULL,
    success_metrics JSON,
    performance_data JSON,
    status VARCHAR(50) DEFAULT 'planned' NOT NULL,
    duration_days INTEGER DEFAULT '14' NOT NULL,
    started_at DATETIME,
    completed_at DATETIME,
    result VARCHAR(50),
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_hub_experiments PRIMARY KEY (id),
    CONSTRAINT ck_hub_experiments_status CHECK (status IN ('planned','running','completed','failed')),
    CONSTRAINT ck_hub_experiments_result CHECK (result IS NULL OR result IN ('experimental_wins','original_wins','inconclusive')),
    CONSTRAINT ck_hub_experiments_days CHECK (duration_days > 0),
    CONSTRAINT fk_hub_experiments_base_checkpoint_id FOREIGN KEY(base_checkpoint_id) REFERENCES hub_checkpoints (id),
    CONSTRAINT fk_hub_experiments_original_hub_id FOREIGN KEY(original_hub_id) REFERENCES hub_instances (id),
    CONSTRAINT fk_hub_experiments_experimental_hub_id FOREIGN KEY(experimental_hub_id) REFERENCES hub_instances (id) ON DELETE SET NULL
)

CREATE TABLE llm_round_table_results (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    result_id VARCHAR(100) NOT NULL,
    prompt TEXT,
    task_category VARCHAR(100),
    winner_provider VARCHAR(50),
    winner_response TEXT,
    participants JSON NOT NULL,
    task_execution_id CHAR(32),
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_llm_round_table_results PRIMARY KEY (id),
    CONSTRAINT uq_llm_round_table_results_result_id UNIQUE (result_id),
    CONSTRAINT fk_llm_round_table_results_task_execution_id FOREIGN KEY(task_execution_id) REFERENCES executions (id) ON DELETE SET NULL
)

CREATE TABLE tool_executions (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    correlation_id VARCHAR(64) NOT NULL,
    tool_name VARCHAR(128) NOT NULL,
    agent_id VARCHAR(100),
    agent_execution_id CHAR(32),
    user_id CHAR(32),
    inputs JSON NOT NULL,
    outputs JSON,
    status VARCHAR(50) DEFAULT 'running' NOT NULL,
    error_message TEXT,
    duration_ms INTEGER,
    metadata JSON DEFAULT '{}' NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_tool_executions PRIMARY KEY (id),
    CONSTRAINT ck_tool_executions_status CHECK (status IN ('running','success','failed','timeout')),
    CONSTRAINT fk_tool_executions_agent_execution_id FOREIGN KEY(agent_execution_id) REFERENCES agent_executions (id) ON DELETE SET NULL,
    CONSTRAINT fk_tool_executions_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE SET NULL
)

CREATE TABLE resource_usage_daily (
    project_id CHAR(32) NOT NULL,
    usage_date DATE NOT NULL,
    resource_type VARCHAR(50) NOT NULL,
    unit VARCHAR(20) NOT NULL,
    amount BIGINT NOT NULL,
    cost_cad BIGINT DEFAULT '0' NOT NULL,
    transaction_count BIGINT NOT NULL,
    CONSTRAINT pk_resource_usage_daily PRIMARY KEY (project_id, usage_date, resource_type, unit),
    CONSTRAINT ck_resource_usage_daily_type CHECK (resource_type IN ('money','time','api_calls','cpu','memory','storage','network')),
    CONSTRAINT fk_resource_usage_daily_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE
)

CREATE TABLE login_throttles (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    throttle_key VARCHAR(300) NOT NULL,
    failures INTEGER NOT NULL,
    last_failed_at DATETIME NOT NULL,
    blocked_until DATETIME,
    CONSTRAINT pk_login_throttles PRIMARY KEY (id),
    CONSTRAINT uq_login_throttles_key UNIQUE (throttle_key)
)

CREATE TABLE idempotent_replies (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    actor_id VARCHAR(100) NOT NULL,
    idempotency_key VARCHAR(200) NOT NULL,
    operation VARCHAR(200) NOT NULL,
    request_hash CHAR(64) NOT NULL,
    response TEXT NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_idempotent_replies PRIMARY KEY (id),
    CONSTRAINT uq_idempotent_replies_key UNIQUE (actor_id, idempotency_key)
)

CREATE TABLE queue_shares (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    queue_name VARCHAR(50) NOT NULL,
    project_id CHAR(32) NOT NULL,
    last_fair_key DOUBLE DEFAULT '0' NOT NULL,
    max_running INTEGER,
    CONSTRAINT pk_queue_shares PRIMARY KEY (id),
    CONSTRAINT ck_queue_shares_max_running CHECK (max_running IS NULL OR max_running > 0),
    CONSTRAINT uq_queue_shares UNIQUE (queue_name, project_id),
    CONSTRAINT fk_queue_shares_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE
)

CREATE TABLE budget_holds (
    reservation_id CHAR(32) NOT NULL,
    budget_id CHAR(32) NOT NULL,
    resource_type VARCHAR(50) NOT NULL,
    amount BIGINT NOT NULL,
    settled_amount BIGINT,
    CONSTRAINT pk_budget_holds PRIMARY KEY (reservation_id, budget_id),
    CONSTRAINT ck_budget_holds_resource_type CHECK (resource_type IN ('money','time','api_calls','cpu','memory','storage','network')),
    CONSTRAINT ck_budget_holds_amounts CHECK (amount >= 0 AND (settled_amount IS NULL OR settled_amount >= 0))
) WITHOUT ROWID

CREATE TABLE provider_pauses (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    opens_at DATETIME NOT NULL,
    CONSTRAINT pk_provider_pauses PRIMARY KEY (id)
)

INSERT INTO alembic_version (version_num)
VALUES ('0003')

INSERT INTO exchange_rates (id, currency, rate_to_cad, valid_from, source, created_at)
VALUES ('e5b0c7a651a04c7e9d0b6f0f7b8f2a14', 'USD', 140000000, '2026-11-20 00:00:00.000000', 'packaged default', '2026-11-20 00:00:00.000000')

CREATE INDEX idx_agent_executions_agent ON agent_executions (agent_name)

CREATE INDEX idx_agent_executions_machine ON agent_executions (machine_id)

CREATE INDEX idx_agent_executions_status ON agent_executions (status)

CREATE INDEX idx_agent_executions_task_execution ON agent_executions (task_execution_id)

CREATE INDEX idx_api_tokens_machine ON api_tokens (machine_id)

CREATE INDEX idx_api_tokens_user ON api_tokens (user_id)

CREATE INDEX idx_api_tokens_worker ON api_tokens (worker_id)

CREATE INDEX idx_approval_requests_answered_by ON approval_requests (answered_by)

CREATE INDEX idx_approval_requests_conversation ON approval_requests (conversation_id)

CREATE INDEX idx_approval_requests_execution ON approval_requests (execution_id)

CREATE INDEX idx_approval_requests_machine ON approval_requests (machine_id)

CREATE INDEX idx_approval_requests_open ON approval_requests (deadline_at) WHERE status = 'open'

CREATE INDEX idx_approval_requests_task ON approval_requests (task_id)

CREATE INDEX idx_assignments_machine ON worker_assignments (machine_id)

CREATE INDEX idx_assignments_order ON worker_assignments (work_order_id)

CREATE INDEX idx_assignments_status ON worker_assignments (status)

CREATE INDEX idx_assignments_worker ON worker_assignments (worker_id)

CREATE INDEX idx_audit_log_at ON audit_log (at)

CREATE INDEX idx_audit_log_resource ON audit_log (resource_type, resource_id)

CREATE INDEX idx_budget_reservations_machine ON budget_reservations (machine_id)

CREATE INDEX idx_budget_reservations_open ON budget_reservations (instance_id, expires_at) WHERE state IN ('reserved','forwarded','uncertain')

CREATE INDEX idx_budget_reservations_project ON budget_reservations (project_id, reserved_at)

CREATE INDEX idx_budget_reservations_task ON budget_reservations (task_id)

CREATE INDEX idx_budgets_active ON resource_budgets (period_end, period_start)

CREATE INDEX idx_budgets_project_period ON resource_budgets (project_id, period_start, period_end)

CREATE INDEX idx_budgets_task ON resource_budgets (task_id)

CREATE INDEX idx_chat_attachments_message ON chat_attachments (message_id)

CREATE INDEX idx_chat_conversations_created_by ON chat_conversations (created_by)

CREATE INDEX idx_chat_conversations_project ON chat_conversations (project_id)

CREATE INDEX idx_chat_conversations_task ON chat_conversations (task_id)

CREATE INDEX idx_chat_messages_conversation ON chat_messages (conversation_id, created_at)

CREATE INDEX idx_chat_messages_created ON chat_messages (created_at)

CREATE INDEX idx_chat_messages_parent ON chat_messages (parent_message_id)

CREATE INDEX idx_chat_messages_sender ON chat_messages (sender_type, sender_id)

CREATE INDEX idx_checkpoints_active ON checkpoints (project_id, created_at DESC) WHERE verification_status = 'verified'

CREATE INDEX idx_checkpoints_created_at ON checkpoints (created_at DESC)

CREATE INDEX idx_checkpoints_machine ON checkpoints (creating_machine_id)

CREATE INDEX idx_checkpoints_parent ON checkpoints (parent_checkpoint_id)

CREATE INDEX idx_checkpoints_project ON checkpoints (project_id, created_at DESC)

CREATE INDEX idx_checkpoints_type ON checkpoints (checkpoint_type, created_at DESC)

CREATE INDEX idx_context_docs_created_by ON context_documents (created_by)

CREATE INDEX idx_context_docs_project ON context_documents (project_id)

CREATE INDEX idx_context_docs_repo ON context_documents (repository_url)

CREATE INDEX idx_context_docs_type ON context_documents (document_type)

CREATE INDEX idx_context_document_versions_created_by ON context_document_versions (created_by)

CREATE INDEX idx_execution_logs_execution ON execution_logs (execution_id)

CREATE INDEX idx_execution_logs_level ON execution_logs (level)

CREATE INDEX idx_execution_logs_logged_at ON execution_logs (logged_at)

CREATE INDEX idx_executions_checkpoint ON executions (result_checkpoint_id)

CREATE INDEX idx_executions_correlation ON executions (correlation_id)

CREATE INDEX idx_executions_machine ON executions (machine_id)

CREATE INDEX idx_executions_started ON executions (started_at)

CREATE INDEX idx_executions_status ON executions (status)

CREATE INDEX idx_executions_task ON executions (task_id)

CREATE INDEX idx_executions_task_status ON executions (task_id, status)

CREATE INDEX idx_executions_work_order ON executions (work_order_id)

CREATE INDEX idx_executions_worker ON executions (worker_id)

CREATE INDEX idx_hub_checkpoints_created_at ON hub_checkpoints (created_at DESC)

CREATE INDEX idx_hub_checkpoints_hub ON hub_checkpoints (hub_id)

CREATE INDEX idx_hub_checkpoints_type ON hub_checkpoints (checkpoint_type)

CREATE INDEX idx_hub_experiments_base ON hub_experiments (base_checkpoint_id)

CREATE INDEX idx_hub_experiments_experimental ON hub_experiments (experimental_hub_id)

CREATE INDEX idx_hub_experiments_original ON hub_experiments (original_hub_id)

CREATE INDEX idx_hub_experiments_started_at ON hub_experiments (started_at)

CREATE INDEX idx_hub_experiments_status ON hub_experiments (status)

CREATE INDEX idx_hub_instances_experiment ON hub_instances (experiment_id)

CREATE INDEX idx_hub_instances_parent ON hub_instances (parent_hub_id)

CREATE INDEX idx_hub_instances_status ON hub_instances (status)

CREATE INDEX idx_hub_instances_type ON hub_instances (type)

CREATE INDEX idx_idempotent_replies_created ON idempotent_replies (created_at)

CREATE INDEX idx_instances_heartbeat ON instances (heartbeat_at)

CREATE INDEX idx_llm_results_category ON llm_round_table_results (task_category)

CREATE INDEX idx_llm_results_execution ON llm_round_table_results (task_execution_id)

CREATE INDEX idx_login_throttles_time ON login_throttles (last_failed_at)

CREATE INDEX idx_machine_messages_correlation ON machine_messages (correlation_id)

CREATE INDEX idx_machine_messages_inbox ON machine_messages (recipient_machine_id, status, enqueued_at)

CREATE INDEX idx_machine_messages_sender ON machine_messages (sender_machine_id)

CREATE INDEX idx_machines_hub ON intelligent_machines (spawned_by_hub_id)

CREATE INDEX idx_machines_parent_checkpoint ON intelligent_machines (parent_checkpoint_id)

CREATE INDEX idx_machines_parent_machine ON intelligent_machines (parent_machine_id)

CREATE INDEX idx_machines_project_status ON intelligent_machines (project_id, status)

CREATE INDEX idx_machines_spawn_time ON intelligent_machines (spawned_at DESC)

CREATE INDEX idx_machines_status ON intelligent_machines (status)

CREATE INDEX idx_machines_type_status ON intelligent_machines (machine_type, status)

CREATE INDEX idx_machines_vm ON intelligent_machines (vm_id) WHERE vm_id IS NOT NULL

CREATE INDEX idx_machines_worker ON intelligent_machines (worker_id)

CREATE INDEX idx_maintenance_log_operation ON maintenance_log (operation, performed_at DESC)

CREATE INDEX idx_orders_status ON orders (status)

CREATE INDEX idx_orders_user_id ON orders (user_id)

CREATE INDEX idx_outbox_events_unrelayed ON outbox_events (id) WHERE relayed_at IS NULL

CREATE INDEX idx_products_status ON products (status)

CREATE INDEX idx_project_members_user ON project_members (user_id)

CREATE INDEX idx_projects_greediness ON projects (greediness DESC)

CREATE INDEX idx_projects_status ON projects (status) WHERE status = 'active'

CREATE INDEX idx_queue_shares_project ON queue_shares (project_id)

CREATE INDEX idx_rag_documents_context ON rag_documents (context_document_id)

CREATE INDEX idx_rag_documents_hash ON rag_documents (content_hash)

CREATE INDEX idx_rag_documents_source ON rag_documents (source_path)

CREATE INDEX idx_resource_machine ON resource_usage (machine_id) WHERE machine_id IS NOT NULL

CREATE INDEX idx_resource_project_time ON resource_usage (project_id, recorded_at)

CREATE INDEX idx_resource_type_time ON resource_usage (resource_type, recorded_at)

CREATE INDEX idx_resource_usage_daily_date ON resource_usage_daily (usage_date)

CREATE INDEX idx_resource_usage_execution ON resource_usage (execution_id) WHERE execution_id IS NOT NULL

CREATE INDEX idx_task_deps_depends_on ON task_dependencies (depends_on_task_id)

CREATE INDEX idx_task_deps_task ON task_dependencies (task_id)

CREATE INDEX idx_tasks_assigned_to ON tasks (assigned_to)

CREATE INDEX idx_tasks_created_by ON tasks (created_by)

CREATE INDEX idx_tasks_parent ON tasks (parent_task_id)

CREATE INDEX idx_tasks_priority ON tasks (priority)

CREATE INDEX idx_tasks_project_status ON tasks (project_id, status)

CREATE INDEX idx_tasks_status ON tasks (status)

CREATE INDEX idx_tasks_status_priority ON tasks (status, priority)

CREATE INDEX idx_tasks_type ON tasks (task_type)

CREATE INDEX idx_tool_executions_agent_execution ON tool_executions (agent_execution_id)

CREATE INDEX idx_tool_executions_correlation ON tool_executions (correlation_id)

CREATE INDEX idx_tool_executions_status ON tool_executions (status)

CREATE INDEX idx_tool_executions_tool ON tool_executions (tool_name)

CREATE INDEX idx_tool_executions_user ON tool_executions (user_id)

CREATE INDEX idx_users_role ON users (role)

CREATE INDEX idx_verification_queue_checkpoint ON checkpoint_verification_queue (checkpoint_id)

CREATE INDEX idx_verification_queue_claim ON checkpoint_verification_queue (status, queued_at)

CREATE INDEX idx_work_orders_claim ON work_orders (queue_name, route, priority DESC, fair_key, id) WHERE status = 'pending'

CREATE INDEX idx_work_orders_enqueued ON work_orders (enqueued_at)

CREATE INDEX idx_work_orders_expires ON work_orders (expires_at)

CREATE INDEX idx_work_orders_queue ON work_orders (queue_name)

CREATE INDEX idx_work_orders_status ON work_orders (status)

CREATE INDEX idx_work_orders_task ON work_orders (task_id)

CREATE INDEX idx_worker_caps_name ON worker_capabilities (capability_name)

CREATE INDEX idx_worker_caps_worker ON worker_capabilities (worker_id)

CREATE INDEX idx_workers_heartbeat ON workers (last_heartbeat_at)

CREATE INDEX idx_workers_status ON workers (status)

CREATE INDEX idx_workers_type ON workers (worker_type)

CREATE INDEX idx_workers_type_status ON workers (worker_type, status)

CREATE UNIQUE INDEX idx_products_sku ON products (sku)

CREATE UNIQUE INDEX idx_projects_name ON projects (name)

CREATE UNIQUE INDEX idx_users_email ON users (email)

CREATE UNIQUE INDEX idx_users_username ON users (username)

CREATE UNIQUE INDEX uq_assignments_active_order ON worker_assignments (work_order_id) WHERE status = 'active'

CREATE UNIQUE INDEX uq_budgets_project_type_period_start ON resource_budgets (project_id, coalesce(task_id, ''), resource_type, budget_period, period_start)

CREATE UNIQUE INDEX uq_machines_live_vm ON intelligent_machines (hypervisor, vm_id) WHERE vm_id IS NOT NULL AND terminated_at IS NULL

CREATE UNIQUE INDEX uq_verification_queue_open ON checkpoint_verification_queue (checkpoint_id) WHERE status IN ('queued','processing')

CREATE VIEW task_lines AS
SELECT executions.id AS execution_id, line.id AS ancestor_id
FROM executions
    JOIN tasks AS t1 ON t1.id = executions.task_id
    LEFT JOIN tasks AS t2 ON t2.id = t1.parent_task_id
    LEFT JOIN tasks AS t3 ON t3.id = t2.parent_task_id
    LEFT JOIN tasks AS t4 ON t4.id = t3.parent_task_id
    LEFT JOIN tasks AS t5 ON t5.id = t4.parent_task_id
    LEFT JOIN tasks AS t6 ON t6.id = t5.parent_task_id
    LEFT JOIN tasks AS t7 ON t7.id = t6.parent_task_id
    LEFT JOIN tasks AS t8 ON t8.id = t7.parent_task_id
    JOIN tasks AS line ON line.id IN (t1.id, t2.id, t3.id, t4.id, t5.id, t6.id, t7.id, t8.id)

CREATE VIEW mv_project_resource_summary AS
SELECT p.id AS project_id, p.name AS project_name, p.greediness, daily.usage_date,
       daily.resource_type, daily.unit, daily.amount AS total_amount,
       CAST(round(1.0 * daily.amount / daily.transaction_count) AS INTEGER) AS avg_amount,
       daily.cost_cad AS total_cost_cad, daily.transaction_count
FROM projects AS p JOIN resource_usage_daily AS daily ON daily.project_id = p.id
WHERE daily.usage_date >= date('now', '-90 days')

CREATE VIEW project_resource_summary AS SELECT * FROM mv_project_resource_summary

CREATE VIEW mv_machine_performance AS
SELECT machine_type, count(*) AS total_machines,
       count(*) FILTER (WHERE status = 'terminated') AS terminated_machines,
       CAST(round(avg((julianday(terminated_at) - julianday(spawned_at)) * 1440)) AS INTEGER)
           AS avg_runtime_minutes,
       count(*) FILTER (WHERE status = 'terminated' AND error_message IS NULL) AS successful_count,
       CAST(round(10000.0 * count(*) FILTER (WHERE status = 'terminated' AND error_message IS NULL)
           / nullif(count(*) FILTER (WHERE status = 'terminated'), 0)) AS INTEGER)
           AS success_rate_percent,
       CAST(round(1000000 * avg(CASE
               WHEN money GLOB '[0-9]*' AND money NOT GLOB '*[^0-9.]*' AND money NOT GLOB '*.*.*'
                   AND money NOT GLOB '*.' THEN CAST(money AS REAL) END)) AS INTEGER)
           AS avg_money_cost,
       CAST(round(1000000 * avg(CASE
               WHEN api_calls GLOB '[0-9]*' AND api_calls NOT GLOB '*[^0-9]*'
                   THEN CAST(api_calls AS INTEGER) END)) AS INTEGER)
           AS avg_api_calls,
       CAST(round(1000000 * avg(checkpoint_count)) AS INTEGER) AS avg_checkpoints_created
FROM (
    SELECT *, CAST(json_extract(resource_usage, '$.money') AS TEXT) AS money,
           CAST(json_extract(resource_usage, '$.api_calls') AS TEXT) AS api_calls
    FROM intelligent_machines
)
WHERE spawned_at >= date('now', '-30 days') AND machine_type <> 'hub'
GROUP BY machine_type

CREATE VIEW machine_performance_metrics AS
SELECT machine_type, total_machines, avg_runtime_minutes,
       successful_count AS successful_machines,
       CAST(round(10000.0 * successful_count / total_machines) AS INTEGER) AS success_rate_percent,
       avg_money_cost, avg_api_calls, avg_checkpoints_created
FROM mv_machine_performance

CREATE TRIGGER checkpoints_immutable BEFORE UPDATE ON checkpoints
    FOR EACH ROW WHEN OLD.verification_status = 'verified' AND (
        (NEW.creating_machine_id IS NOT OLD.creating_machine_id
            AND NEW.creating_machine_id IS NOT NULL)
        OR (NEW.pruned_at IS NOT OLD.pruned_at AND OLD.pruned_at IS NOT NULL)
        OR NEW.id IS NOT OLD.id
        OR NEW.project_id IS NOT OLD.project_id
        OR NEW.parent_checkpoint_id IS NOT OLD.parent_checkpoint_id
        OR NEW.checkpoint_type IS NOT OLD.checkpoint_type
        OR NEW.depth IS NOT OLD.depth
        OR NEW.jump_checkpoint_id IS NOT OLD.jump_checkpoint_id
        OR NEW.jump_depth IS NOT OLD.jump_depth
        OR NEW.hypervisor IS NOT OLD.hypervisor
        OR NEW.proxmox_snapshot_id IS NOT OLD.proxmox_snapshot_id
        OR NEW.vm_id IS NOT OLD.vm_id
        OR NEW.manifest_root IS NOT OLD.manifest_root
        OR NEW.manifest_file_count IS NOT OLD.manifest_file_count
        OR NEW.file_manifest IS NOT OLD.file_manifest
        OR NEW.description IS NOT OLD.description
        OR NEW.creation_context IS NOT OLD.creation_context
        OR NEW.size_bytes IS NOT OLD.size_bytes
        OR NEW.stored_bytes IS NOT OLD.stored_bytes
        OR NEW.compression_ratio IS NOT OLD.compression_ratio
        OR NEW.agent_session_id IS NOT OLD.agent_session_id
        OR NEW.last_settled_call_id IS NOT OLD.last_settled_call_id
        OR NEW.consistency IS NOT OLD.consistency
        OR NEW.verification_status IS NOT OLD.verification_status
        OR NEW.verified_at IS NOT OLD.verified_at
        OR NEW.metadata IS NOT OLD.metadata
        OR NEW.created_at IS NOT OLD.created_at
    )
BEGIN
    SELECT RAISE(ABORT, 'AV:CHECKPOINT_IMMUTABLE');
END

CREATE TRIGGER delete_holds_after_call AFTER DELETE ON budget_reservations
BEGIN
    DELETE FROM budget_holds WHERE reservation_id = OLD.id;
END

CREATE TRIGGER enforce_budget_after_insert AFTER INSERT ON resource_usage
    FOR EACH ROW WHEN NEW.reservation_id IS NULL
BEGIN
    SELECT RAISE(ABORT, 'AV:BUDGET_UNIT_MISMATCH') FROM resource_budgets
    WHERE NEW.enforcement = 'authorise' AND resource_budgets.unit <> NEW.unit
        AND resource_budgets.project_id = NEW.project_id
        AND resource_budgets.resource_type = NEW.resource_type
        AND date(NEW.recorded_at) BETWEEN resource_budgets.period_start AND resource_budgets.period_end
        AND (resource_budgets.task_id IS NULL OR EXISTS (
            SELECT 1 FROM task_lines AS line
            WHERE line.execution_id = NEW.execution_id AND line.ancestor_id = resource_budgets.task_id));
    SELECT RAISE(ABORT, 'AV:BUDGET_EXCEEDED') FROM resource_budgets
    WHERE NEW.enforcement = 'authorise'
        AND resource_budgets.used_amount + resource_budgets.reserved_amount + NEW.amount > resource_budgets.allocated_amount
        AND resource_budgets.project_id = NEW.project_id
        AND resource_budgets.resource_type = NEW.resource_type
        AND date(NEW.recorded_at) BETWEEN resource_budgets.period_start AND resource_budgets.period_end
        AND (resource_budgets.task_id IS NULL OR EXISTS (
            SELECT 1 FROM task_lines AS line
            WHERE line.execution_id = NEW.execution_id AND line.ancestor_id = resource_budgets.task_id));
    UPDATE resource_budgets
    SET used_amount = used_amount + NEW.amount, updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE resource_budgets.unit = NEW.unit
        AND resource_budgets.project_id = NEW.project_id
        AND resource_budgets.resource_type = NEW.resource_type
        AND date(NEW.recorded_at) BETWEEN resource_budgets.period_start AND resource_budgets.period_end
        AND (resource_budgets.task_id IS NULL OR EXISTS (
            SELECT 1 FROM task_lines AS line
            WHERE line.execution_id = NEW.execution_id AND line.ancestor_id = resource_budgets.task_id));
END

CREATE TRIGGER finish_checkpoint_verification AFTER UPDATE ON checkpoints
    FOR EACH ROW WHEN OLD.verification_status = 'pending' AND NEW.verification_status <> 'pending'
BEGIN
    UPDATE checkpoint_verification_queue
    SET status = CASE NEW.verification_status WHEN 'verified' THEN 'done' ELSE 'failed' END,
        finished_at = strftime('%Y-%m-%d %H:%M:%f000', 'now'), locked_by = NULL
    WHERE checkpoint_id = NEW.id AND status IN ('queued', 'processing');
END

CREATE TRIGGER roll_up_usage_after_insert AFTER INSERT ON resource_usage
    FOR EACH ROW
BEGIN
    INSERT INTO resource_usage_daily
    VALUES (NEW.project_id, date(NEW.recorded_at), NEW.resource_type, NEW.unit, NEW.amount,
            coalesce(NEW.cost_cad, 0), 1)
    ON CONFLICT (project_id, usage_date, resource_type, unit) DO UPDATE SET
        amount = amount + excluded.amount, cost_cad = cost_cad + excluded.cost_cad,
        transaction_count = transaction_count + 1;
END

CREATE TRIGGER schedule_checkpoint_verification AFTER INSERT ON checkpoints
    FOR EACH ROW WHEN NEW.verification_status = 'pending'
BEGIN
    INSERT INTO checkpoint_verification_queue (id, checkpoint_id, queued_at)
    VALUES (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2)), NEW.id, strftime('%Y-%m-%d %H:%M:%f000', 'now'));
END

CREATE TRIGGER update_api_tokens_updated_at AFTER UPDATE ON api_tokens
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE api_tokens SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_approval_requests_updated_at AFTER UPDATE ON approval_requests
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE approval_requests SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_chat_conversations_updated_at AFTER UPDATE ON chat_conversations
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE chat_conversations SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_context_documents_updated_at AFTER UPDATE ON context_documents
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE context_documents SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_executions_updated_at AFTER UPDATE ON executions
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE executions SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_hub_experiments_updated_at AFTER UPDATE ON hub_experiments
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE hub_experiments SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_hub_instances_updated_at AFTER UPDATE ON hub_instances
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE hub_instances SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_intelligent_machines_updated_at AFTER UPDATE ON intelligent_machines
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE intelligent_machines SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_orders_updated_at AFTER UPDATE ON orders
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE orders SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_products_updated_at AFTER UPDATE ON products
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE products SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_project_members_updated_at AFTER UPDATE ON project_members
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE project_members SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_projects_updated_at AFTER UPDATE ON projects
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE projects SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_rag_documents_updated_at AFTER UPDATE ON rag_documents
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE rag_documents SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_resource_budgets_updated_at AFTER UPDATE ON resource_budgets
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE resource_budgets SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_task_dependencies_updated_at AFTER UPDATE ON task_dependencies
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE task_dependencies SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_tasks_updated_at AFTER UPDATE ON tasks
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE tasks SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_users_updated_at AFTER UPDATE ON users
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE users SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_work_orders_updated_at AFTER UPDATE ON work_orders
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE work_orders SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_worker_assignments_updated_at AFTER UPDATE ON worker_assignments
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE worker_assignments SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_worker_capabilities_updated_at AFTER UPDATE ON worker_capabilities
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE worker_capabilities SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_workers_updated_at AFTER UPDATE ON workers
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE workers SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END
