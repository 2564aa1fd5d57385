use super::*;

const SEEN: ViewSet = ViewSet::only(View::Profile);
const FIRST: ThreadId = ThreadId::FIRST;

fn add(owners: &mut Owners, id: OwnerId, size: usize) -> ViewSet {
    owners.add(id, size, false);
    owners.views(id)
}

#[test]
fn an_owner_of_this_epoch_stays_and_one_from_before_goes_with_its_last_block() {
    let mut owners = Owners::default();
    let first = owners.of(TracebackId(3), FIRST, SEEN).unwrap();
    assert_eq!(owners.of(TracebackId(3), FIRST, SEEN).unwrap(), first);
    add(&mut owners, first, 10);
    assert_eq!(owners.subtract(first, 10, false), SEEN);
    assert_eq!(owners.of(TracebackId(3), FIRST, SEEN).unwrap(), first);
    add(&mut owners, first, 10);
    owners.begin_epoch();
    let second = owners.of(TracebackId(3), FIRST, SEEN).unwrap();
    assert_ne!(first, second);
    assert_eq!(owners.get(first).bytes(), 10);
    owners.subtract(first, 10, false);
    assert_eq!(
        owners.of(TracebackId(4), FIRST, SEEN).unwrap(),
        first,
        "used again"
    );
    assert_eq!(owners.get(first).allocated_blocks, 0);
}

#[test]
fn hidden_owners_answer_nobody() {
    let mut owners = Owners::default();
    let both = SEEN.with(View::Program);
    let id = owners.apart(TracebackId(0), FIRST, both).unwrap();
    assert_eq!(add(&mut owners, id, 1), both);
    owners.hide_from(View::Program);
    assert_eq!(owners.subtract(id, 1, false), SEEN);
    assert_eq!(add(&mut owners, OwnerId::NOBODY, 1), ViewSet::EMPTY);
}

#[test]
fn stamps_and_small_counts_that_come_round_change_no_figure() {
    let mut owners = Owners::default();
    let id = owners.of(TracebackId(3), ThreadId(7), SEEN).unwrap();
    owners.stamp = u32::MAX - 1;
    for size in [10, 20] {
        owners.add(id, size, true);
    }
    owners.list[id.0 as usize].temporary_blocks = u32::MAX;
    owners.subtract(id, 20, true);
    owners.add(id, 5, false);
    let amount = |bytes, blocks| Amount { bytes, blocks };
    let all: Vec<_> = owners.all(View::Profile).collect();
    assert_eq!(all[0].live, amount(15, 2));
    assert_eq!(all[0].peak, amount(30, 2));
    assert_eq!(all[0].allocated, amount(35, 3));
    let temporary = all.iter().fold(Amount::default(), |mut sum, each| {
        sum += each.temporary;
        sum
    });
    assert_eq!(temporary, amount(20, 1 << 32));
    assert!(all.iter().all(|each| each.kind.thread == ThreadId(7)));
}
