"""Tasks are put into a set so that they are not collected, and stay there when they are done."""
import asyncio

background = set()


async def fetch(number):
    await asyncio.sleep(0)
    return bytes(2500) + str(number).encode()


async def handle(number):
    task = asyncio.create_task(fetch(number))
    background.add(task)  # expect: W302
    await task
    return number


async def main():
    total = 0
    for number in range(1000):
        total += await handle(number)
    print(total)


asyncio.run(main())
