//! Threads, forks, limits, and memory given back.

use std::sync::mpsc;
use std::thread;

use wrasse_allocator::{Heap, Options, Region};

fn region(keep: usize) -> std::pin::Pin<Box<Region>> {
    Region::reserve(Options {
        reserve: 1 << 30,
        keep,
    })
    .unwrap()
}

/// A heap or block on its way to another thread.
struct Sent<T>(T);
// SAFETY: each is used by the thread that received it only.
unsafe impl<T> Send for Sent<T> {}

impl<T: Copy> Sent<T> {
    fn get(&self) -> T {
        self.0
    }
}

#[test]
fn blocks_released_by_other_heaps_come_home() {
    const BLOCKS: usize = 100_000;
    let region = region(4);
    let heaps: Vec<&Heap> = (0..3).map(|_| region.as_ref().heap().unwrap()).collect();
    thread::scope(|scope| {
        let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..3)
            .map(|_| mpsc::sync_channel::<Sent<*mut u8>>(1000))
            .unzip();
        senders.rotate_left(1);
        for ((heap, sender), receiver) in heaps.iter().zip(senders).zip(receivers) {
            let heap = Sent(&raw const **heap);
            scope.spawn(move || {
                // SAFETY: this thread's heap; the region outlives the scope.
                let heap = unsafe { &*heap.get() };
                for round in 0..BLOCKS {
                    let size = 8 + round % 500;
                    // SAFETY: blocks are written and read within their size.
                    unsafe {
                        let block = heap.allocate(size);
                        block.cast::<usize>().write(block as usize);
                        sender.send(Sent(block)).unwrap();
                        let block = receiver.recv().unwrap().get();
                        assert_eq!(block.cast::<usize>().read(), block as usize);
                        assert!(heap.release(block));
                    }
                }
            });
        }
    });
    // What is queued is still counted as in use, until its heap looks.
    let bound = region.stats().pools;
    assert!(
        bound < 400,
        "{bound} pools for a few thousand blocks at a time"
    );
    for heap in heaps {
        // SAFETY: all threads are done.
        unsafe { heap.trim() };
    }
    assert_eq!(region.blocks(), 0);
    assert_eq!(region.limit().taken(), 0);
}

#[test]
fn a_block_can_be_released_without_a_heap() {
    let region = region(0);
    let heap = region.as_ref().heap().unwrap();
    // SAFETY: one thread.
    unsafe {
        let (small, large) = (heap.allocate(100), heap.allocate(100_000));
        assert!(Heap::release_from_outside(&region, small));
        assert!(Heap::release_from_outside(&region, large));
        let mut foreign = 0u64;
        assert!(!Heap::release_from_outside(
            &region,
            (&raw mut foreign).cast()
        ));
        assert!(!heap.release((&raw mut foreign).cast()));
        assert_eq!(heap.resize((&raw mut foreign).cast(), 100), None);
        heap.trim();
    }
    assert_eq!(region.limit().taken(), 0);
}

#[test]
fn a_child_goes_on_where_its_parent_was() {
    let region = region(4);
    let heap = region.as_ref().heap().unwrap();
    // SAFETY: the child only allocates, compares and exits.
    unsafe {
        let blocks: Vec<*mut u8> = (0..10_000).map(|_| heap.allocate(64)).collect();
        for block in &blocks {
            block.write_bytes(1, 64);
        }
        // As a busy process: the locks are held by whoever forks.
        region.before_fork();
        let child = libc::fork();
        region.after_fork();
        if child == 0 {
            let mut good = blocks.iter().all(|block| **block == 1);
            for block in &blocks {
                good &= heap.release(*block);
            }
            for size in (1..20_000).step_by(7) {
                let block = heap.allocate(size);
                good &= !block.is_null();
                block.write_bytes(2, size);
            }
            libc::_exit(if good { 0 } else { 1 });
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        assert_eq!(status, 0);
        assert!(blocks.iter().all(|block| **block == 1));
        for block in blocks {
            assert!(heap.release(block));
        }
    }
    assert_eq!(region.blocks(), 0);
}

#[test]
fn the_limit_refuses_and_recovers() {
    const MIB: usize = 1 << 20;
    let region = region(64);
    let heap = region.as_ref().heap().unwrap();
    region.limit().set(Some(8 * MIB));
    // SAFETY: one thread; blocks are released once.
    unsafe {
        let large = heap.allocate(4 * MIB);
        assert!(!large.is_null());
        assert!(heap.allocate(4 * MIB + 1).is_null());
        let mut blocks = Vec::new();
        loop {
            let block = heap.allocate(1000);
            if block.is_null() {
                break;
            }
            blocks.push(block);
        }
        let held = blocks.len() * 1000;
        assert!((3 * MIB..4 * MIB).contains(&held), "{held}");
        assert!(region.limit().taken() <= 8 * MIB);
        assert!(region.limit().refused() >= 2);
        // Growing in place of what is there is refused, and leaves it whole.
        blocks[0].write_bytes(5, 1000);
        assert!(heap.resize(blocks[0], 100_000).unwrap().is_null());
        assert!((0..1000).all(|i| *blocks[0].add(i) == 5));
        // Another class finds no pool, but memory kept empty counts for nobody.
        assert!(heap.allocate(5000).is_null());
        for block in blocks.drain(..) {
            assert!(heap.release(block));
        }
        assert!(!heap.allocate(3 * MIB).is_null());
        region.limit().set(None);
        assert!(!heap.allocate(100 * MIB).is_null());
        assert!(heap.release(large));
    }
}

#[test]
fn a_block_that_shrinks_in_place_is_no_refusal() {
    const MIB: usize = 1 << 20;
    let region = region(0);
    let heap = region.as_ref().heap().unwrap();
    region.limit().set(Some(4 * MIB));
    // SAFETY: one thread; blocks are released once.
    unsafe {
        let large = heap.allocate(MIB);
        let mut blocks = Vec::new();
        for size in [2000, 700, 100, 10] {
            loop {
                let block = heap.allocate(size);
                if block.is_null() {
                    break;
                }
                blocks.push(block);
            }
        }
        let before = region.limit().refused();
        assert!(before >= 4);
        // No room to move to: they stay where they are, and have what they asked for.
        assert_eq!(heap.resize(blocks[0], 1000), Some(blocks[0]));
        assert_eq!(heap.resize(blocks[0], 5000), Some(std::ptr::null_mut()));
        assert_eq!(region.limit().refused(), before + 1);
        let shrunk = heap.resize(large, 5000).unwrap();
        assert!(!shrunk.is_null());
        assert_eq!(region.limit().refused(), before + 1);
        // One request that fails is one refusal.
        assert!(heap.allocate_zeroed(5 * MIB).is_null());
        assert_eq!(heap.resize(shrunk, 5 * MIB), Some(std::ptr::null_mut()));
        assert_eq!(region.limit().refused(), before + 3);
        for block in blocks {
            assert!(heap.release(block));
        }
        assert!(heap.release(shrunk));
    }
}

#[test]
fn a_small_address_space_gets_a_small_region() {
    // SAFETY: the child sets its own limit and exits.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            let used = std::fs::read_to_string("/proc/self/statm").unwrap();
            let used = used.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096;
            let limit = libc::rlimit {
                rlim_cur: used + (1 << 30),
                rlim_max: used + (1 << 30),
            };
            libc::setrlimit(libc::RLIMIT_AS, &limit);
            let good = match Region::reserve(Options::default()) {
                Ok(region) => {
                    let heap = region.as_ref().heap().unwrap();
                    region.range().1 <= 1 << 28 && !heap.allocate(100).is_null()
                }
                Err(_) => false,
            };
            libc::_exit(if good { 0 } else { 1 });
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        assert_eq!(status, 0);
    }
}

#[test]
fn an_address_that_was_never_used_has_no_size() {
    let region = region(4);
    let heap = region.as_ref().heap().unwrap();
    let (start, length) = region.range();
    // SAFETY: one thread.
    let block = unsafe { heap.allocate(100) };
    assert_eq!(region.size_of(block), 112);
    for offset in [1 << 16, 1 << 20, 1 << 26, length - 16] {
        let address = (start + offset) as *const u8;
        assert_eq!(region.size_of(address), 0);
        assert_eq!(region.block_at(address), None);
    }
    // Nor one in the middle, far from what was opened.
    let middle = (start + length / 2) as *const u8;
    assert_eq!(region.size_of(middle), 0);
    assert_eq!(region.block_at(middle), None);
    assert_eq!(
        region.block_at(block).map(|(_, room)| room),
        Some(region.size_of(block))
    );
}

#[test]
fn little_data_is_enough_for_the_addresses() {
    // SAFETY: the child sets its own limit and exits.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let data = status.lines().find_map(|line| line.strip_prefix("VmData:"));
            let data = data.unwrap().split_whitespace().next().unwrap();
            let limit = (data.parse::<u64>().unwrap() << 10) + (24 << 20);
            let limit = libc::rlimit {
                rlim_cur: limit,
                rlim_max: limit,
            };
            libc::setrlimit(libc::RLIMIT_DATA, &limit);
            let Ok(region) = Region::reserve(Options::default()) else {
                libc::_exit(1);
            };
            if region.range().1 != Options::default().reserve {
                libc::_exit(2);
            }
            // 16 MiB are opened; where no more can be, it is refused.
            let heap = region.as_ref().heap().unwrap();
            let mut bytes = 0;
            while bytes < 100 << 20 && !heap.allocate(8192).is_null() {
                bytes += 8192;
            }
            let is_right = (16 << 20..24 << 20).contains(&bytes);
            libc::_exit(if is_right { 0 } else { 3 });
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        assert_eq!(libc::WEXITSTATUS(status), 0, "{status:#x}");
    }
}

#[test]
fn a_full_region_refuses() {
    let options = Options {
        reserve: 1 << 24,
        ..Options::default()
    };
    let region = Region::reserve(options).unwrap();
    let heap = region.as_ref().heap().unwrap();
    // SAFETY: one thread.
    unsafe {
        let mut blocks = Vec::new();
        while blocks.len() < 1 << 14 {
            let block = heap.allocate(4096);
            if block.is_null() {
                break;
            }
            blocks.push(block);
        }
        assert_eq!(blocks.len(), (1 << 24) / 4096);
        assert!(heap.release(blocks.remove(0)));
        assert!(!heap.allocate(4096).is_null());
    }
}

/// Fills memory, empties it in an order of its own, and looks at what is still there.
#[test]
fn emptied_memory_is_given_back() {
    let region = region(64);
    let heap = region.as_ref().heap().unwrap();
    // SAFETY: one thread; each block is released once.
    unsafe {
        let mut blocks: Vec<*mut u8> = (0..1_000_000)
            .map(|i| heap.allocate(16 + i % 10 * 16))
            .collect();
        let full = region.committed();
        assert!(full > 80 << 20);
        let mut random = 1u64;
        for last in (1..blocks.len()).rev() {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            blocks.swap(last, (random >> 33) as usize % (last + 1));
        }
        let rest = blocks.split_off(900_000);
        for block in blocks {
            assert!(heap.release(block));
        }
        // Nothing moves, so a random tenth keeps most pools.
        assert_eq!(region.blocks(), rest.len());
        for block in rest {
            assert!(heap.release(block));
        }
        let left = region.committed();
        assert!(left <= (64 + 10 + 1) << 16, "{left} of {full} still there");
        heap.trim();
        assert_eq!(region.committed(), 0);
    }
}

/// A program that needs the same memory again and again keeps it.
#[test]
fn memory_that_is_needed_again_is_kept() {
    let region = region(4);
    let heap = region.as_ref().heap().unwrap();
    let round = || {
        // SAFETY: one thread; each block is released once.
        unsafe {
            let blocks: Vec<*mut u8> = (0..50_000).map(|_| heap.allocate(128)).collect();
            for block in blocks {
                assert!(heap.release(block));
            }
        }
        region.committed() >> 16
    };
    let first = round();
    assert!(first <= 6, "{first}");
    round();
    let third = round();
    assert!(third >= 90, "{third} of 98 pools kept");
}
