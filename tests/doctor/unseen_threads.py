"""Workers that share a queue and a lock, with a summary that is read at the end."""
import queue
import threading
from collections import Counter

words = Counter()
lock = threading.Lock()
work = queue.Queue(maxsize=50)


def worker():
    while True:
        text = work.get()
        if text is None:
            return
        mine = Counter(text.split())
        with lock:
            words.update(mine)


def main():
    threads = [threading.Thread(target=worker) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(3000):
        work.put(" ".join(f"word{(n * k) % 700}" for k in range(40)))
    for _ in threads:
        work.put(None)
    for thread in threads:
        thread.join()
    print(words.most_common(3), len(words))


main()
