"""A fixed number of threads with a bounded queue."""

import asyncio
import concurrent.futures

from keras_wsseg.serving.request_error import busy


class WorkerPool:
    """Runs functions in threads, so that the event loop stays free, and rejects calls beyond its capacity.

    The queue holds coroutines, not work passed to the threads: one that is canceled while waiting leaves it
    immediately, and a thread that continues after its request timed out keeps its place until it is done.

    Args:
        workers: number of threads.
        queue: number of functions that may wait for one.

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
        """Whether the next function would be rejected."""
        return self.waiting >= self.queue and self._free.locked()

    @property
    def is_stuck(self):
        """Whether every thread is running a function that timed out, so that there is no progress."""
        return len(self._overdue) == self._workers

    async def run(self, function, timeout):
        """Calls `function` in a thread, without arguments, and returns its result.

        Args:
            function: what to call.
            timeout: seconds, including those in the queue.

        Raises:
            RequestError: 503 if the queue is full.
            TimeoutError: if it takes longer; and whatever `function` raises.
        """
        if self.is_full:
            raise busy("The service is at capacity: try again later.")
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
        """Lets the threads end, without waiting for running ones."""
        self._threads.shutdown(wait=False)

    def _done(self, work):
        self.running -= 1
        self._overdue.discard(work)
        self._free.release()
        # Retrieving the error marks it as handled if its request is gone.
        work.exception()
