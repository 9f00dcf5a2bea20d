"""The rows that tests start from."""

from __future__ import annotations

from sqlalchemy import func, select

from autovibe.db import Database
from autovibe.testing import factories


async def test_every_factory_makes_a_row_that_the_database_accepts(db: Database) -> None:
    async with db.write() as tx:
        user = await factories.add_user(tx)
        project = await factories.add_project(tx)
        machine = await factories.add_machine(tx, project.id)
        genesis = await factories.add_checkpoint(tx, project.id, creating_machine_id=machine.id)
        worker = await factories.add_worker(tx)
        task = await factories.add_task(tx, project.id, created_by=user.id)
        order = await factories.add_order(tx, task.id)
        await factories.add_execution(
            tx, task.id, worker.id, work_order_id=order.id, result_checkpoint_id=genesis.id
        )
        await factories.add_budget(tx, project.id)
        await factories.add_budget(tx, project.id, task_id=task.id)
    async with db.read() as tx:
        for table in ("users", "projects", "intelligent_machines", "checkpoints", "executions"):
            count = select(func.count()).select_from(factories.model(table))
            assert await tx.session.scalar(count) == 1, table


async def test_jump_pointers_reach_the_root_in_few_steps(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        chain = [await factories.add_checkpoint(tx, project.id)]
        for _ in range(40):
            chain.append(await factories.add_checkpoint(tx, project.id, chain[-1]))
    by_id = {checkpoint.id: checkpoint for checkpoint in chain}
    for checkpoint in chain:
        assert by_id[checkpoint.jump_checkpoint_id].depth == checkpoint.jump_depth
    steps, here = 0, chain[-1]
    while here.depth:
        here = by_id[here.jump_checkpoint_id]
        steps += 1
    assert steps <= 12
