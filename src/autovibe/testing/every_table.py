"""One row of every table, each tied to the others by all the keys that it has."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from autovibe.db import WriteTx
from autovibe.testing import factories
from autovibe.testing.factories import add

Rows = dict[str, Any]
_HASH: Final = "a" * 64
_THEN: Final = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


async def add_one_of_each(tx: WriteTx) -> Rows:
    """Add a row to every table and return them by table name."""
    rows: Rows = {}
    await _add_people(tx, rows)
    await _add_machine_side(tx, rows)
    await _add_work(tx, rows)
    await _add_ledger(tx, rows)
    await _add_hubs(tx, rows)
    await _add_talk(tx, rows)
    await _add_agents(tx, rows)
    await _add_knowledge(tx, rows)
    await _add_commerce(tx, rows)
    await _add_records(tx, rows)
    return rows


async def _add_people(tx: WriteTx, rows: Rows) -> None:
    rows["users"] = await factories.add_user(tx)
    rows["projects"] = await factories.add_project(tx)
    rows["workers"] = await factories.add_worker(tx, capabilities=["python"])
    rows["project_members"] = await add(
        tx,
        "project_members",
        project_id=rows["projects"].id,
        user_id=rows["users"].id,
        role="developer",
    )
    rows["api_tokens"] = await add(
        tx, "api_tokens", user_id=rows["users"].id, name="laptop", token_hash=_HASH
    )
    rows["login_throttles"] = await add(
        tx, "login_throttles", throttle_key="account:ada", failures=1, last_failed_at=_THEN
    )
    rows["queue_shares"] = await add(
        tx,
        "queue_shares",
        queue_name="default",
        project_id=rows["projects"].id,
        last_fair_key=2.0,
    )
    rows["instances"] = await add(tx, "instances", host="host", boot_id="boot", pid=1)
    rows["worker_capabilities"] = await add(
        tx, "worker_capabilities", worker_id=rows["workers"].id, capability_name="python"
    )


async def _add_machine_side(tx: WriteTx, rows: Rows) -> None:
    project = rows["projects"].id
    hub = await factories.add_machine(tx, None, machine_type="hub")
    root = await factories.add_checkpoint(tx, project)
    parent = await factories.add_machine(tx, project, spawned_by_hub_id=hub.id)
    machine = await factories.add_machine(
        tx,
        project,
        worker_id=rows["workers"].id,
        spawned_by_hub_id=hub.id,
        parent_machine_id=parent.id,
        parent_checkpoint_id=root.id,
    )
    rows["intelligent_machines"] = machine
    rows["checkpoints"] = await factories.add_checkpoint(
        tx, project, root, creating_machine_id=machine.id
    )
    rows["checkpoint_verification_queue"] = await add(
        tx, "checkpoint_verification_queue", checkpoint_id=rows["checkpoints"].id, status="done"
    )
    rows["machine_messages"] = await add(
        tx,
        "machine_messages",
        sender_machine_id=hub.id,
        recipient_machine_id=machine.id,
        message_type="autovibe.v1.LogEvent",
        payload={},
    )


async def _add_work(tx: WriteTx, rows: Rows) -> None:
    parent = await factories.add_task(tx, rows["projects"].id)
    task = await factories.add_task(
        tx,
        rows["projects"].id,
        created_by=rows["users"].id,
        assigned_to=rows["workers"].id,
        parent_task_id=parent.id,
    )
    rows["tasks"] = task
    rows["task_dependencies"] = await add(
        tx, "task_dependencies", task_id=task.id, depends_on_task_id=parent.id
    )
    rows["work_orders"] = await factories.add_order(tx, task.id)
    rows["worker_assignments"] = await add(
        tx,
        "worker_assignments",
        worker_id=rows["workers"].id,
        work_order_id=rows["work_orders"].id,
        machine_id=rows["intelligent_machines"].id,
    )
    rows["executions"] = await factories.add_execution(
        tx,
        task.id,
        rows["workers"].id,
        work_order_id=rows["work_orders"].id,
        machine_id=rows["intelligent_machines"].id,
        result_checkpoint_id=rows["checkpoints"].id,
    )
    rows["execution_logs"] = await add(
        tx,
        "execution_logs",
        execution_id=rows["executions"].id,
        seq=1,
        level="INFO",
        message="began",
    )


async def _add_ledger(tx: WriteTx, rows: Rows) -> None:
    project = rows["projects"].id
    rows["resource_budgets"] = await factories.add_budget(tx, project, task_id=rows["tasks"].id)
    rows["budget_reservations"] = await add(
        tx,
        "budget_reservations",
        project_id=project,
        task_id=rows["tasks"].id,
        machine_id=rows["intelligent_machines"].id,
        execution_id=rows["executions"].id,
        instance_id=rows["instances"].id,
        idempotency_key="call-1",
        expires_at=_THEN,
    )
    rows["provider_pauses"] = await add(tx, "provider_pauses", opens_at=_THEN)
    rows["budget_holds"] = await add(
        tx,
        "budget_holds",
        reservation_id=rows["budget_reservations"].id,
        budget_id=rows["resource_budgets"].id,
        resource_type="money",
        amount=Decimal("0.5"),
    )
    rows["resource_usage"] = await add(
        tx,
        "resource_usage",
        project_id=project,
        machine_id=rows["intelligent_machines"].id,
        execution_id=rows["executions"].id,
        resource_type="api_calls",
        amount=Decimal(1),
        unit="calls",
        enforcement="record",
    )
    rows["exchange_rates"] = await add(
        tx,
        "exchange_rates",
        currency="EUR",
        rate_to_cad=Decimal("1.5"),
        valid_from=_THEN,
        source="test",
    )


async def _add_hubs(tx: WriteTx, rows: Rows) -> None:
    hub = await add(
        tx,
        "hub_instances",
        machine_id=rows["intelligent_machines"].id,
        type="primary",
        status="active",
        vm_id="100",
    )
    rows["hub_instances"] = hub
    rows["hub_checkpoints"] = await add(
        tx,
        "hub_checkpoints",
        hub_id=hub.id,
        checkpoint_type="pre_experiment",
        proxmox_snapshot_id="av-1",
        system_metrics={"cpu_percent": 12.5},
        checkpoint_size_gb=Decimal("1.250"),
    )
    rival = await add(
        tx,
        "hub_instances",
        type="experimental",
        status="experimental",
        vm_id="101",
        parent_hub_id=hub.id,
    )
    rows["hub_experiments"] = await add(
        tx,
        "hub_experiments",
        name="more memory",
        base_checkpoint_id=rows["hub_checkpoints"].id,
        original_hub_id=hub.id,
        experimental_hub_id=rival.id,
        configuration_changes={"memory_mb": 16384},
    )
    rival.experiment_id = rows["hub_experiments"].id
    await tx.session.flush()  # the circle is closed here, so that a failure shows here


async def _add_talk(tx: WriteTx, rows: Rows) -> None:
    conversation = await add(
        tx,
        "chat_conversations",
        title="About the task",
        project_id=rows["projects"].id,
        task_id=rows["tasks"].id,
        created_by=rows["users"].id,
    )
    rows["chat_conversations"] = conversation
    question = await add(
        tx,
        "chat_messages",
        conversation_id=conversation.id,
        sender_type="worker",
        sender_id=rows["workers"].id,
        message="Which port?",
        message_type="question",
    )
    rows["chat_messages"] = await add(
        tx,
        "chat_messages",
        conversation_id=conversation.id,
        sender_type="user",
        sender_id=rows["users"].id,
        message="The usual one.",
        parent_message_id=question.id,
    )
    rows["chat_attachments"] = await add(
        tx,
        "chat_attachments",
        message_id=rows["chat_messages"].id,
        file_name="log.txt",
        file_path="attachments/log.txt",
        file_size_bytes=2**40,
    )


async def _add_agents(tx: WriteTx, rows: Rows) -> None:
    execution, machine = rows["executions"].id, rows["intelligent_machines"].id
    rows["approval_requests"] = await add(
        tx,
        "approval_requests",
        task_id=rows["tasks"].id,
        execution_id=execution,
        machine_id=machine,
        conversation_id=rows["chat_conversations"].id,
        kind="tool_use",
        title="Run the tests",
        details={"tool": "Bash", "input": {"command": "make test"}},
        options=["allow", "deny"],
        default_answer="deny",
        answered_by=rows["users"].id,
        answered_at=_THEN,
        status="answered",
        answer={"choice": "allow"},
    )
    rows["agent_executions"] = await add(
        tx,
        "agent_executions",
        execution_id="run-1",
        task_execution_id=execution,
        machine_id=machine,
        agent_name="claude_code",
        prompt="Do it.",
        result={"output": "done"},
    )
    rows["tool_executions"] = await add(
        tx,
        "tool_executions",
        correlation_id=rows["executions"].correlation_id,
        tool_name="Bash",
        agent_execution_id=rows["agent_executions"].id,
        user_id=rows["users"].id,
        inputs={"command": "ls"},
    )
    rows["llm_round_table_results"] = await add(
        tx,
        "llm_round_table_results",
        result_id="round-1",
        participants=[{"provider": "one", "score": 0.5}, {"provider": "two"}],
        task_execution_id=execution,
    )


async def _add_knowledge(tx: WriteTx, rows: Rows) -> None:
    document = await add(
        tx,
        "context_documents",
        project_id=rows["projects"].id,
        title="Style",
        document_type="guide",
        content="Short sentences.",
        tags=["style", "écriture"],
        created_by=rows["users"].id,
    )
    rows["context_documents"] = document
    rows["context_document_versions"] = await add(
        tx,
        "context_document_versions",
        document_id=document.id,
        version=1,
        title="Style",
        content="Sentences.",
        tags=["style"],
        created_by=rows["users"].id,
    )
    rows["rag_documents"] = await add(
        tx,
        "rag_documents",
        document_id="style-0",
        parent_document_id="style",
        context_document_id=document.id,
        content="Short sentences.",
        content_hash=_HASH,
        chunk_index=0,
        total_chunks=1,
        embedding=[0.5, -1.25],
    )


async def _add_commerce(tx: WriteTx, rows: Rows) -> None:
    rows["products"] = await add(
        tx, "products", sku="A-1", name="Lamp", price=Decimal("19.99"), tags=["light"]
    )
    rows["orders"] = await add(
        tx,
        "orders",
        order_number="2026-1",
        user_id=rows["users"].id,
        total_price=Decimal("22.99"),
        subtotal=Decimal("19.99"),
        metadata={"items": [{"sku": "A-1", "quantity": 1, "unit_price": "19.99"}]},
    )


async def _add_records(tx: WriteTx, rows: Rows) -> None:
    rows["outbox_events"] = await add(tx, "outbox_events", topic="test", payload={"n": 1})
    rows["audit_log"] = await add(
        tx,
        "audit_log",
        actor_type="user",
        actor_id="1",
        operation="x",
        outcome="ok",
    )
    rows["idempotent_replies"] = await add(
        tx,
        "idempotent_replies",
        actor_id="ada",
        idempotency_key="key",
        operation="CreateProject",
        request_hash=_HASH,
        response="{}",
    )
    rows["audit_seals"] = await add(
        tx, "audit_seals", first_id=1, last_id=1, rows_hash=_HASH, prev_hash=_HASH, hash=_HASH
    )
    rows["maintenance_log"] = await add(tx, "maintenance_log", operation="test")
