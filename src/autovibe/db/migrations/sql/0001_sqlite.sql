-- The first tables. Statements are parted by blank lines.

CREATE TABLE outbox_events (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    topic VARCHAR(100) NOT NULL,
    payload JSON NOT NULL,
    created_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    relayed_at DATETIME
)

CREATE INDEX idx_outbox_events_unrelayed ON outbox_events (id) WHERE relayed_at IS NULL

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

CREATE INDEX idx_audit_log_at ON audit_log (at)

CREATE INDEX idx_audit_log_resource ON audit_log (resource_type, resource_id)

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

CREATE INDEX idx_maintenance_log_operation ON maintenance_log (operation, performed_at DESC)

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

CREATE UNIQUE INDEX idx_projects_name ON projects (name)

CREATE INDEX idx_projects_greediness ON projects (greediness DESC)

CREATE INDEX idx_projects_status ON projects (status) WHERE status = 'active'

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

CREATE UNIQUE INDEX idx_users_email ON users (email)

CREATE UNIQUE INDEX idx_users_username ON users (username)

CREATE INDEX idx_users_role ON users (role)

CREATE TABLE instances (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    host VARCHAR(255) NOT NULL,
    boot_id VARCHAR(64) NOT NULL,
    pid INTEGER NOT NULL,
    started_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    heartbeat_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_instances PRIMARY KEY (id)
)

CREATE INDEX idx_instances_heartbeat ON instances (heartbeat_at)

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

CREATE INDEX idx_workers_status ON workers (status)

CREATE INDEX idx_workers_type_status ON workers (worker_type, status)

CREATE INDEX idx_workers_heartbeat ON workers (last_heartbeat_at)

CREATE INDEX idx_workers_type ON workers (worker_type)

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

CREATE UNIQUE INDEX uq_machines_live_vm ON intelligent_machines (hypervisor, vm_id) WHERE vm_id IS NOT NULL AND terminated_at IS NULL

CREATE INDEX idx_machines_parent_checkpoint ON intelligent_machines (parent_checkpoint_id)

CREATE INDEX idx_machines_vm ON intelligent_machines (vm_id) WHERE vm_id IS NOT NULL

CREATE INDEX idx_machines_worker ON intelligent_machines (worker_id)

CREATE INDEX idx_machines_type_status ON intelligent_machines (machine_type, status)

CREATE INDEX idx_machines_project_status ON intelligent_machines (project_id, status)

CREATE INDEX idx_machines_parent_machine ON intelligent_machines (parent_machine_id)

CREATE INDEX idx_machines_hub ON intelligent_machines (spawned_by_hub_id)

CREATE INDEX idx_machines_status ON intelligent_machines (status)

CREATE INDEX idx_machines_spawn_time ON intelligent_machines (spawned_at DESC)

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

CREATE INDEX idx_project_members_user ON project_members (user_id)

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

CREATE INDEX idx_tasks_created_by ON tasks (created_by)

CREATE INDEX idx_tasks_assigned_to ON tasks (assigned_to)

CREATE INDEX idx_tasks_status ON tasks (status)

CREATE INDEX idx_tasks_project_status ON tasks (project_id, status)

CREATE INDEX idx_tasks_priority ON tasks (priority)

CREATE INDEX idx_tasks_status_priority ON tasks (status, priority)

CREATE INDEX idx_tasks_parent ON tasks (parent_task_id)

CREATE INDEX idx_tasks_type ON tasks (task_type)

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

CREATE INDEX idx_checkpoints_machine ON checkpoints (creating_machine_id)

CREATE INDEX idx_checkpoints_parent ON checkpoints (parent_checkpoint_id)

CREATE INDEX idx_checkpoints_active ON checkpoints (project_id, created_at DESC) WHERE verification_status = 'verified'

CREATE INDEX idx_checkpoints_type ON checkpoints (checkpoint_type, created_at DESC)

CREATE INDEX idx_checkpoints_project ON checkpoints (project_id, created_at DESC)

CREATE INDEX idx_checkpoints_created_at ON checkpoints (created_at DESC)

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
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_api_tokens PRIMARY KEY (id),
    CONSTRAINT ck_api_tokens_one_owner CHECK ((user_id IS NULL OR machine_id IS NULL) AND (user_id IS NULL OR worker_id IS NULL) AND (machine_id IS NULL OR worker_id IS NULL)),
    CONSTRAINT uq_api_tokens_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_api_tokens_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_api_tokens_machine_id FOREIGN KEY(machine_id) REFERENCES intelligent_machines (id) ON DELETE CASCADE,
    CONSTRAINT fk_api_tokens_worker_id FOREIGN KEY(worker_id) REFERENCES workers (id) ON DELETE CASCADE
)

CREATE INDEX idx_api_tokens_machine ON api_tokens (machine_id)

CREATE INDEX idx_api_tokens_user ON api_tokens (user_id)

CREATE INDEX idx_api_tokens_worker ON api_tokens (worker_id)

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

CREATE INDEX idx_resource_machine ON resource_usage (machine_id) WHERE machine_id IS NOT NULL

CREATE INDEX idx_resource_type_time ON resource_usage (resource_type, recorded_at)

CREATE INDEX idx_resource_project_time ON resource_usage (project_id, recorded_at)

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

CREATE INDEX idx_budgets_task ON resource_budgets (task_id)

CREATE INDEX idx_budgets_project_period ON resource_budgets (project_id, period_start, period_end)

CREATE INDEX idx_budgets_active ON resource_budgets (period_end, period_start)

CREATE UNIQUE INDEX uq_budgets_project_type_period_start ON resource_budgets (project_id, coalesce(task_id, ''), resource_type, budget_period, period_start)

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

CREATE INDEX idx_budget_reservations_project ON budget_reservations (project_id, reserved_at)

CREATE INDEX idx_budget_reservations_task ON budget_reservations (task_id)

CREATE INDEX idx_budget_reservations_machine ON budget_reservations (machine_id)

CREATE INDEX idx_budget_reservations_open ON budget_reservations (instance_id, expires_at) WHERE state IN ('reserved','forwarded','uncertain')

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

CREATE INDEX idx_task_deps_task ON task_dependencies (task_id)

CREATE INDEX idx_task_deps_depends_on ON task_dependencies (depends_on_task_id)

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
    updated_at DATETIME DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')) NOT NULL,
    CONSTRAINT pk_work_orders PRIMARY KEY (id),
    CONSTRAINT ck_work_orders_status CHECK (status IN ('pending','claimed','completed','failed','expired')),
    CONSTRAINT ck_work_orders_retries CHECK (retry_count >= 0 AND max_retries >= 0),
    CONSTRAINT ck_work_orders_worker_type CHECK (worker_type IN ('feature','bugfix','test','docs','refactor','review')),
    CONSTRAINT fk_work_orders_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
)

CREATE INDEX idx_work_orders_expires ON work_orders (expires_at)

CREATE INDEX idx_work_orders_status ON work_orders (status)

CREATE INDEX idx_work_orders_claim ON work_orders (queue_name, priority DESC, fair_key, id) WHERE status = 'pending'

CREATE INDEX idx_work_orders_task ON work_orders (task_id)

CREATE INDEX idx_work_orders_enqueued ON work_orders (enqueued_at)

CREATE INDEX idx_work_orders_queue ON work_orders (queue_name)

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

CREATE INDEX idx_verification_queue_claim ON checkpoint_verification_queue (status, queued_at)

CREATE UNIQUE INDEX uq_verification_queue_open ON checkpoint_verification_queue (checkpoint_id) WHERE status IN ('queued','processing')

CREATE INDEX idx_verification_queue_checkpoint ON checkpoint_verification_queue (checkpoint_id)

CREATE TABLE budget_holds (
    id CHAR(32) DEFAULT (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2) || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))) NOT NULL,
    reservation_id CHAR(32) NOT NULL,
    budget_id CHAR(32) NOT NULL,
    resource_type VARCHAR(50) NOT NULL,
    amount BIGINT NOT NULL,
    settled_amount BIGINT,
    CONSTRAINT pk_budget_holds PRIMARY KEY (id),
    CONSTRAINT ck_budget_holds_resource_type CHECK (resource_type IN ('money','time','api_calls','cpu','memory','storage','network')),
    CONSTRAINT ck_budget_holds_amounts CHECK (amount >= 0 AND (settled_amount IS NULL OR settled_amount >= 0)),
    CONSTRAINT uq_budget_holds UNIQUE (reservation_id, budget_id),
    CONSTRAINT fk_budget_holds_reservation_id FOREIGN KEY(reservation_id) REFERENCES budget_reservations (id) ON DELETE CASCADE,
    CONSTRAINT fk_budget_holds_budget_id FOREIGN KEY(budget_id) REFERENCES resource_budgets (id) ON DELETE CASCADE
)

CREATE INDEX idx_budget_holds_budget ON budget_holds (budget_id)

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

CREATE UNIQUE INDEX uq_assignments_active_order ON worker_assignments (work_order_id) WHERE status = 'active'

CREATE INDEX idx_assignments_machine ON worker_assignments (machine_id)

CREATE INDEX idx_assignments_order ON worker_assignments (work_order_id)

CREATE INDEX idx_assignments_worker ON worker_assignments (worker_id)

CREATE INDEX idx_assignments_status ON worker_assignments (status)

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

CREATE INDEX idx_executions_worker ON executions (worker_id)

CREATE INDEX idx_executions_started ON executions (started_at)

CREATE INDEX idx_executions_work_order ON executions (work_order_id)

CREATE INDEX idx_executions_checkpoint ON executions (result_checkpoint_id)

CREATE INDEX idx_executions_task ON executions (task_id)

CREATE INDEX idx_executions_task_status ON executions (task_id, status)

CREATE INDEX idx_executions_status ON executions (status)

CREATE INDEX idx_executions_machine ON executions (machine_id)

CREATE INDEX idx_executions_correlation ON executions (correlation_id)

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

CREATE INDEX idx_execution_logs_logged_at ON execution_logs (logged_at)

CREATE INDEX idx_execution_logs_execution ON execution_logs (execution_id)

CREATE INDEX idx_execution_logs_level ON execution_logs (level)

CREATE TRIGGER update_projects_updated_at AFTER UPDATE ON projects
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE projects SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_users_updated_at AFTER UPDATE ON users
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE users SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_workers_updated_at AFTER UPDATE ON workers
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE workers SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_intelligent_machines_updated_at AFTER UPDATE ON intelligent_machines
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE intelligent_machines SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_project_members_updated_at AFTER UPDATE ON project_members
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE project_members SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_tasks_updated_at AFTER UPDATE ON tasks
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE tasks SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_api_tokens_updated_at AFTER UPDATE ON api_tokens
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE api_tokens SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
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

CREATE TRIGGER update_work_orders_updated_at AFTER UPDATE ON work_orders
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE work_orders SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_executions_updated_at AFTER UPDATE ON executions
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE executions SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_worker_assignments_updated_at AFTER UPDATE ON worker_assignments
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE worker_assignments SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

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

INSERT INTO exchange_rates (id, currency, rate_to_cad, valid_from, source, created_at)
VALUES ('e5b0c7a651a04c7e9d0b6f0f7b8f2a14', 'USD', 140000000, '2026-11-20 00:00:00.000000',
    'packaged default', '2026-11-20 00:00:00.000000')
