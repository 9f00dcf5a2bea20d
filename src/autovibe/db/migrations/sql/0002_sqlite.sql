-- Hubs, mailboxes, approvals, agent and tool runs, chat, documents, commerce, in one step.
-- Statements are parted by blank lines.

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

CREATE UNIQUE INDEX idx_products_sku ON products (sku)

CREATE INDEX idx_products_status ON products (status)

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

CREATE INDEX idx_context_docs_created_by ON context_documents (created_by)

CREATE INDEX idx_context_docs_project ON context_documents (project_id)

CREATE INDEX idx_context_docs_repo ON context_documents (repository_url)

CREATE INDEX idx_context_docs_type ON context_documents (document_type)

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

CREATE INDEX idx_orders_status ON orders (status)

CREATE INDEX idx_orders_user_id ON orders (user_id)

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

CREATE INDEX idx_worker_caps_name ON worker_capabilities (capability_name)

CREATE INDEX idx_worker_caps_worker ON worker_capabilities (worker_id)

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

CREATE INDEX idx_chat_conversations_created_by ON chat_conversations (created_by)

CREATE INDEX idx_chat_conversations_project ON chat_conversations (project_id)

CREATE INDEX idx_chat_conversations_task ON chat_conversations (task_id)

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

CREATE INDEX idx_context_document_versions_created_by ON context_document_versions (created_by)

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

CREATE INDEX idx_hub_instances_experiment ON hub_instances (experiment_id)

CREATE INDEX idx_hub_instances_parent ON hub_instances (parent_hub_id)

CREATE INDEX idx_hub_instances_status ON hub_instances (status)

CREATE INDEX idx_hub_instances_type ON hub_instances (type)

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

CREATE INDEX idx_machine_messages_correlation ON machine_messages (correlation_id)

CREATE INDEX idx_machine_messages_inbox ON machine_messages (recipient_machine_id, status, enqueued_at)

CREATE INDEX idx_machine_messages_sender ON machine_messages (sender_machine_id)

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

CREATE INDEX idx_rag_documents_context ON rag_documents (context_document_id)

CREATE INDEX idx_rag_documents_hash ON rag_documents (content_hash)

CREATE INDEX idx_rag_documents_source ON rag_documents (source_path)

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

CREATE INDEX idx_chat_messages_conversation ON chat_messages (conversation_id, created_at)

CREATE INDEX idx_chat_messages_created ON chat_messages (created_at)

CREATE INDEX idx_chat_messages_parent ON chat_messages (parent_message_id)

CREATE INDEX idx_chat_messages_sender ON chat_messages (sender_type, sender_id)

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

CREATE INDEX idx_hub_checkpoints_created_at ON hub_checkpoints (created_at DESC)

CREATE INDEX idx_hub_checkpoints_hub ON hub_checkpoints (hub_id)

CREATE INDEX idx_hub_checkpoints_type ON hub_checkpoints (checkpoint_type)

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

CREATE INDEX idx_agent_executions_agent ON agent_executions (agent_name)

CREATE INDEX idx_agent_executions_machine ON agent_executions (machine_id)

CREATE INDEX idx_agent_executions_status ON agent_executions (status)

CREATE INDEX idx_agent_executions_task_execution ON agent_executions (task_execution_id)

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

CREATE INDEX idx_approval_requests_answered_by ON approval_requests (answered_by)

CREATE INDEX idx_approval_requests_conversation ON approval_requests (conversation_id)

CREATE INDEX idx_approval_requests_execution ON approval_requests (execution_id)

CREATE INDEX idx_approval_requests_machine ON approval_requests (machine_id)

CREATE INDEX idx_approval_requests_open ON approval_requests (deadline_at) WHERE status = 'open'

CREATE INDEX idx_approval_requests_task ON approval_requests (task_id)

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

CREATE INDEX idx_chat_attachments_message ON chat_attachments (message_id)

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

CREATE INDEX idx_hub_experiments_base ON hub_experiments (base_checkpoint_id)

CREATE INDEX idx_hub_experiments_experimental ON hub_experiments (experimental_hub_id)

CREATE INDEX idx_hub_experiments_original ON hub_experiments (original_hub_id)

CREATE INDEX idx_hub_experiments_started_at ON hub_experiments (started_at)

CREATE INDEX idx_hub_experiments_status ON hub_experiments (status)

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

CREATE INDEX idx_llm_results_category ON llm_round_table_results (task_category)

CREATE INDEX idx_llm_results_execution ON llm_round_table_results (task_execution_id)

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

CREATE INDEX idx_tool_executions_agent_execution ON tool_executions (agent_execution_id)

CREATE INDEX idx_tool_executions_correlation ON tool_executions (correlation_id)

CREATE INDEX idx_tool_executions_status ON tool_executions (status)

CREATE INDEX idx_tool_executions_tool ON tool_executions (tool_name)

CREATE INDEX idx_tool_executions_user ON tool_executions (user_id)

CREATE TRIGGER update_products_updated_at AFTER UPDATE ON products
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE products SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_context_documents_updated_at AFTER UPDATE ON context_documents
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE context_documents SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_orders_updated_at AFTER UPDATE ON orders
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE orders SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_worker_capabilities_updated_at AFTER UPDATE ON worker_capabilities
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE worker_capabilities SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_chat_conversations_updated_at AFTER UPDATE ON chat_conversations
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE chat_conversations SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_hub_instances_updated_at AFTER UPDATE ON hub_instances
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE hub_instances SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_rag_documents_updated_at AFTER UPDATE ON rag_documents
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE rag_documents SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_approval_requests_updated_at AFTER UPDATE ON approval_requests
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE approval_requests SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END

CREATE TRIGGER update_hub_experiments_updated_at AFTER UPDATE ON hub_experiments
    FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE hub_experiments SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')
    WHERE id = NEW.id;
END
