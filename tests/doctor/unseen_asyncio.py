"""Producers and consumers with a bounded queue: nothing stays."""
import asyncio


async def produce(queue, count):
    for n in range(count):
        await queue.put(bytes(1000) + str(n).encode())
    await queue.put(None)


async def consume(queue):
    size = 0
    while (item := await queue.get()) is not None:
        size += len(item)
    return size


async def pair(count):
    queue = asyncio.Queue(maxsize=16)
    _, size = await asyncio.gather(produce(queue, count), consume(queue))
    return size


async def main():
    sizes = await asyncio.gather(*(pair(1500) for _ in range(4)))
    print(sum(sizes))


asyncio.run(main())
