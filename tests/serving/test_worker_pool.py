import asyncio
import gc
import threading

import pytest
from service_cases import PATIENCE

from keras_wsseg.serving.request_error import RequestError
from keras_wsseg.serving.worker_pool import WorkerPool


async def turns(condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


def test_as_many_at_once_as_workers_and_in_the_order_of_their_coming():
    pool, gate, begun = WorkerPool(2, 10), threading.Event(), []

    def work(number):
        begun.append(number)
        assert gate.wait(PATIENCE)
        return number

    async def main():
        tasks = []
        for number in range(6):
            tasks.append(asyncio.ensure_future(pool.run(lambda number=number: work(number), PATIENCE)))
            await asyncio.sleep(0)
        await turns(lambda: len(begun) == 2)
        assert (pool.running, pool.waiting, pool.is_full) == (2, 4, False)
        gate.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == list(range(6))
    assert sorted(begun[:2]) == [0, 1] and sorted(begun) == list(range(6))
    assert (pool.running, pool.waiting) == (0, 0)


def test_a_full_queue_refuses_at_once():
    pool, gate = WorkerPool(1, 1), threading.Event()

    async def main():
        tasks = [asyncio.ensure_future(pool.run(lambda: gate.wait(PATIENCE), PATIENCE)) for _ in range(2)]
        await turns(lambda: pool.running == 1 and pool.waiting == 1)
        assert pool.is_full
        with pytest.raises(RequestError, match="at capacity") as refused:
            await pool.run(lambda: None, PATIENCE)
        assert refused.value.status == 503 and refused.value.headers == {"Retry-After": "1"}
        gate.set()
        assert await asyncio.gather(*tasks) == [True, True]

    asyncio.run(main())


def test_who_is_canceled_while_waiting_is_never_worked_on():
    pool, gate, done = WorkerPool(1, 2), threading.Event(), []

    async def main():
        first = asyncio.ensure_future(pool.run(lambda: gate.wait(PATIENCE), PATIENCE))
        await turns(lambda: pool.running == 1)
        gone, stays = (
            asyncio.ensure_future(pool.run(lambda name=name: done.append(name), PATIENCE)) for name in "ab"
        )
        await turns(lambda: pool.waiting == 2)
        gone.cancel()
        await turns(lambda: pool.waiting == 1)
        gate.set()
        await asyncio.gather(first, stays)

    asyncio.run(main())
    assert done == ["b"]


def test_who_is_canceled_while_running_keeps_the_place_until_the_thread_is_done(caplog):
    pool, gate = WorkerPool(1, 0), threading.Event()

    def fail():
        assert gate.wait(PATIENCE)
        raise RuntimeError("nobody asks")

    async def main():
        task = asyncio.ensure_future(pool.run(fail, PATIENCE))
        await turns(lambda: pool.running == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.running == 1 and pool.is_full
        gate.set()
        await turns(lambda: pool.running == 0)
        assert await pool.run(lambda: "next", PATIENCE) == "next"
        gc.collect()

    asyncio.run(main())
    assert caplog.records == []


def test_it_is_stuck_while_every_thread_is_at_what_came_to_its_timeout():
    pool, gates = WorkerPool(2, 1), [threading.Event() for _ in range(2)]

    async def main():
        patient = asyncio.ensure_future(pool.run(lambda: gates[0].wait(PATIENCE), PATIENCE))
        await turns(lambda: pool.running == 1)
        with pytest.raises(TimeoutError):
            await pool.run(lambda: gates[1].wait(PATIENCE), 0.01)
        assert pool.running == 2 and not pool.is_stuck
        with pytest.raises(TimeoutError):
            await pool.run(lambda: None, 0.01)
        assert pool.waiting == 0 and not pool.is_stuck
        gates[0].set()
        assert await patient
        await turns(lambda: pool.running == 1)
        gates[0].clear()
        with pytest.raises(TimeoutError):
            await pool.run(lambda: gates[0].wait(PATIENCE), 0.01)
        assert pool.is_stuck
        gates[1].set()
        await turns(lambda: not pool.is_stuck)
        assert pool.running == 1
        gates[0].set()
        await turns(lambda: pool.running == 0)
        assert not pool.is_stuck

    asyncio.run(main())


def test_who_goes_away_does_not_make_it_stuck():
    pool, gate = WorkerPool(1, 0), threading.Event()

    async def main():
        gone = asyncio.ensure_future(pool.run(lambda: gate.wait(PATIENCE), PATIENCE))
        await turns(lambda: pool.running == 1)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert pool.running == 1 and not pool.is_stuck
        gate.set()
        await turns(lambda: pool.running == 0)

    asyncio.run(main())


def test_errors_come_back():
    pool = WorkerPool(1, 0)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(pool.run(lambda: 1 / 0, PATIENCE))
    assert not pool.is_full
