"""Many short asyncio tasks that hand messages to each other through queues."""

import asyncio


async def producer(queue, count):
    for i in range(count):
        await queue.put({"message": i})
    await queue.put(None)


async def consumer(queue):
    seen = 0
    while await queue.get() is not None:
        seen += 1
    return seen


async def exchange(pairs, count):
    queues = [asyncio.Queue(8) for _ in range(pairs)]
    senders = [asyncio.create_task(producer(queue, count)) for queue in queues]
    seen = await asyncio.gather(*(consumer(queue) for queue in queues))
    await asyncio.gather(*senders)
    return sum(seen)


def main(scale):
    rounds = int(30 * scale) or 1
    assert sum(asyncio.run(exchange(50, 400)) for _ in range(rounds)) == rounds * 50 * 400
