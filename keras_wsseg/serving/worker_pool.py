"""A fixed number of threads behind a queue of fixed length."""

import asyncio
import concurrent.futures

from keras_wsseg.serving.request_error import busy


class WorkerPool:
    """Runs functions in threads, so that the event loop stays free, and refuses what it has no room for.

    The queue is one of coroutines, not of work handed to the threads: who is canceled while waiting leaves
    it at once, and a thread that goes on after its request timed out keeps its place until it is done.

    Args:
        workers: number of threads.
        queue: functions that may wait for one.

    Example:

    >>> pool = WorkerPool(workers=1, queue=0)
    >>> asyncio.run(pool.run(lambda: 6 * 7, timeout=60))
    42
    """

    def __init__(self, workers, queue):
        self.queue = queue
        self.waiting = 0
        self.running = 0
        self._workers = workers
        self._overdue = set()
        self._free = asyncio.Semaphore(workers)
        self._threads = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="segmenter")

    @property
    def is_full(self):
        """Whether the next function would be refused."""
        return self.waiting >= self.queue and self._free.locked()

    @property
    def is_stuck(self):
        """Whether every thread is at something that came to its timeout, so that nothing moves."""
        return len(self._overdue) == self._workers

    async def run(self, function, timeout):
        """What `function` returns, called in a thread without arguments.

        Args:
            function: what to call.
            timeout: seconds, those in the queue among them.

        Raises:
            RequestError: 503 if the queue is full.
            TimeoutError: if it takes longer; and whatever `function` raises.
        """
        if self.is_full:
            raise busy("The service has as much to do as it takes on: try again later.")
        async with asyncio.timeout(timeout) as deadline:
            return await self._run(function, deadline)

    async def _run(self, function, deadline):
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        work = asyncio.get_running_loop().run_in_executor(self._threads, function)
        work.add_done_callback(self._done)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if deadline.expired() and not work.done():
                self._overdue.add(work)
            raise

    def close(self):
        """Lets the threads end; one that is at work is not waited for."""
        self._threads.shutdown(wait=False)

    def _done(self, work):
        self.running -= 1
        self._overdue.discard(work)
        self._free.release()
        # Asking for the error marks it as seen, where the request that it belongs to is gone.
        work.exception()
