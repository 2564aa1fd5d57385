//! A small heap that implements [`Model`] and trusts nobody.
//!
//! Objects are indices that are never reused, so touching a freed object
//! panics. Every rule that the trait lays down for the collector is asserted
//! here: an opened set is only walked, only candidates are decremented or
//! revived, no scratch count falls below zero. Foreign code (finalizers,
//! callbacks, destructors) is a list of scripted [`Action`]s.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use wrasse_collector::{MarkStack, Model, Outcome, WeakOutcome, collect};

/// An object's number; numbers are given out in order of allocation.
pub type Object = usize;

/// One thing foreign code does. Actions on objects that are gone do nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Takes a reference from outside the heap.
    Root(Object),
    /// Gives back a reference from outside the heap, if there is one.
    Unroot(Object),
    /// Stores a reference to the second object in the first.
    Link(Object, Object),
    /// Drops every reference the object holds.
    Clear(Object),
    /// Creates two objects that refer to each other and forgets them.
    AllocateCycle,
    /// Turns a weak reference into one from outside, if its target lives.
    Upgrade(Object),
    /// Asks for a collection; the host must refuse while one is running.
    Collect,
}

/// What foreign code did, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The finalizer of an object ran.
    Finalized(Object),
    /// The callback of a weak reference ran.
    Callback(Object),
    /// An object was asked to drop its references.
    Cleared(Object),
    /// An object was freed.
    Freed(Object),
}

/// One object.
#[derive(Clone, Debug, Default)]
struct Entry {
    dead: bool,
    references: usize,
    external: usize,
    /// References that foreign code cannot give back: a caller's own.
    pins: usize,
    edges: Vec<Object>,
    /// `None`: not tracked.
    set: Option<usize>,
    candidate: bool,
    scratch: usize,
    uncollectable: bool,
    immortal: bool,
    /// Can be no part of a cycle; `settle` stops tracking it.
    atomic: bool,
    finalizer: Option<Vec<Action>>,
    finalized: bool,
    destructor: Vec<Action>,
    /// For a weak reference: what it refers to.
    target: Option<Object>,
    callback: Option<Vec<Action>>,
    /// Weak references to this object.
    weak: Vec<Object>,
}

/// A set's number.
#[derive(Debug)]
pub struct Set(usize);

#[derive(Debug, Default)]
struct State {
    objects: Vec<Entry>,
    sets: Vec<VecDeque<Object>>,
    opened: Option<usize>,
    collecting: bool,
    log: Vec<Event>,
}

/// The mock heap.
pub struct Heap {
    state: RefCell<State>,
    /// Youngest first.
    pub generations: [Set; 3],
    /// Where objects that never die are moved by `open`.
    pub permanent: Set,
    stack: RefCell<MarkStack<Object>>,
    /// Whether `clear` keeps objects for inspection instead.
    pub keep: Cell<bool>,
    /// Objects told to `found`, in order.
    pub found: RefCell<Vec<Object>>,
    /// Objects told to `abandoned`, in order.
    pub abandoned: RefCell<Vec<Object>>,
    /// Objects told to `condemned`, in order.
    pub condemned: RefCell<Vec<Object>>,
    /// Foreign code that the report of what was found runs.
    pub report: RefCell<Vec<Action>>,
    /// What `settle` was called with.
    pub settled: RefCell<Vec<(usize, Vec<Object>)>>,
    /// What an independent search found unreachable when clearing began.
    pub garbage_at_clearing: RefCell<Option<Vec<Object>>>,
    /// The set when clearing began.
    pub set_at_clearing: RefCell<Option<Vec<Object>>>,
    /// Steps that walked or visited anything: a measure of work.
    pub steps: Cell<usize>,
}

impl Heap {
    /// A heap whose collector's mark stack never grows above `limit`.
    pub fn with_stack_limit(limit: usize) -> Self {
        let mut state = State::default();
        let mut set = || {
            state.sets.push(VecDeque::new());
            Set(state.sets.len() - 1)
        };
        let generations = [set(), set(), set()];
        let permanent = set();
        Self {
            state: RefCell::new(state),
            generations,
            permanent,
            stack: RefCell::new(MarkStack::with_limit(limit)),
            keep: Cell::new(false),
            found: RefCell::default(),
            abandoned: RefCell::default(),
            condemned: RefCell::default(),
            report: RefCell::default(),
            settled: RefCell::default(),
            garbage_at_clearing: RefCell::default(),
            set_at_clearing: RefCell::default(),
            steps: Cell::new(0),
        }
    }

    /// A heap without a limit on the mark stack.
    pub fn new() -> Self {
        Self::with_stack_limit(usize::MAX)
    }

    fn with<R>(&self, object: Object, action: impl FnOnce(&mut Entry) -> R) -> R {
        let mut state = self.state.borrow_mut();
        let entry = &mut state.objects[object];
        assert!(
            !entry.dead,
            "object {object} was touched after it was freed"
        );
        action(entry)
    }

    /// A tracked object in the youngest generation, held once from outside.
    pub fn allocate(&self) -> Object {
        let mut state = self.state.borrow_mut();
        let object = state.objects.len();
        state.objects.push(Entry {
            references: 1,
            external: 1,
            set: Some(self.generations[0].0),
            ..Entry::default()
        });
        state.sets[self.generations[0].0].push_back(object);
        object
    }

    /// `count` objects.
    pub fn allocate_many<const N: usize>(&self) -> [Object; N] {
        std::array::from_fn(|_| self.allocate())
    }

    /// A tracked weak reference to `target`, held once from outside.
    pub fn weak(&self, target: Object, callback: Option<Vec<Action>>) -> Object {
        let weak = self.allocate();
        self.with(weak, |entry| {
            entry.target = Some(target);
            entry.callback = callback;
        });
        self.with(target, |entry| entry.weak.push(weak));
        weak
    }

    /// Puts `object` into another generation, at its end.
    pub fn promote(&self, object: Object, generation: usize) {
        self.transfer(object, &self.generations[generation]);
    }

    /// Stops tracking `object`; its references still count, unseen.
    pub fn untrack(&self, object: Object) {
        let mut state = self.state.borrow_mut();
        if let Some(set) = state.objects[object].set.take() {
            state.sets[set].retain(|&other| other != object);
        }
        state.objects[object].candidate = false;
    }

    /// Gives `object` a finalizer.
    pub fn set_finalizer(&self, object: Object, actions: Vec<Action>) {
        self.with(object, |entry| entry.finalizer = Some(actions));
    }

    /// Gives `object` a destructor, which runs when it is freed.
    pub fn set_destructor(&self, object: Object, actions: Vec<Action>) {
        self.with(object, |entry| entry.destructor = actions);
    }

    /// Marks `object` as one whose finalizer cannot be called on a cycle.
    pub fn set_uncollectable(&self, object: Object) {
        self.with(object, |entry| entry.uncollectable = true);
    }

    /// Marks `object` as one that never dies.
    pub fn set_immortal(&self, object: Object) {
        self.with(object, |entry| entry.immortal = true);
    }

    /// Marks `object` as one that `settle` stops tracking.
    pub fn set_atomic(&self, object: Object) {
        self.with(object, |entry| entry.atomic = true);
    }

    /// Stores a reference to `to` in `from`.
    pub fn link(&self, from: Object, to: Object) {
        self.with(to, |entry| entry.references += 1);
        self.with(from, |entry| entry.edges.push(to));
    }

    /// Links the objects in a ring.
    pub fn ring(&self, objects: &[Object]) {
        for (index, &object) in objects.iter().enumerate() {
            self.link(object, objects[(index + 1) % objects.len()]);
        }
    }

    /// Takes a reference from outside.
    pub fn root(&self, object: Object) {
        self.with(object, |entry| {
            entry.references += 1;
            entry.external += 1;
        });
    }

    /// Gives back a reference from outside.
    pub fn unroot(&self, object: Object) {
        self.with(object, |entry| entry.external -= 1);
        self.release(object);
    }

    fn pin(&self, object: Object) {
        self.with(object, |entry| {
            entry.references += 1;
            entry.pins += 1;
        });
    }

    fn unpin(&self, object: Object) {
        self.with(object, |entry| entry.pins -= 1);
        self.release(object);
    }

    /// Gives back the outside references of all `objects`.
    pub fn unroot_all(&self, objects: &[Object]) {
        for &object in objects {
            self.unroot(object);
        }
    }

    /// Whether `object` has not been freed.
    pub fn lives(&self, object: Object) -> bool {
        !self.state.borrow().objects[object].dead
    }

    /// Whether `object` is held from outside.
    pub fn has_external(&self, object: Object) -> bool {
        self.with(object, |entry| entry.external > 0)
    }

    /// The uncollectable objects of `set` and all of `set` that they reach.
    pub fn reached_from_uncollectable(&self, set: &[Object]) -> Vec<Object> {
        let state = self.state.borrow();
        let mut reached: Vec<Object> = set.to_vec();
        reached.retain(|&object| state.objects[object].uncollectable);
        let mut next = 0;
        while next < reached.len() {
            for &target in &state.objects[reached[next]].edges {
                if set.contains(&target) && !reached.contains(&target) {
                    reached.push(target);
                }
            }
            next += 1;
        }
        reached.sort_unstable();
        reached
    }

    /// Whether `object` lives and is in a set.
    pub fn tracked(&self, object: Object) -> bool {
        let state = self.state.borrow();
        !state.objects[object].dead && state.objects[object].set.is_some()
    }

    /// Whether `object` is one that `settle` stops tracking.
    pub fn is_atomic(&self, object: Object) -> bool {
        self.state.borrow().objects[object].atomic
    }

    /// What a weak reference refers to.
    pub fn target(&self, weak: Object) -> Option<Object> {
        self.with(weak, |entry| entry.target)
    }

    /// What foreign code and the collector did so far.
    pub fn log(&self) -> Vec<Event> {
        self.state.borrow().log.clone()
    }

    /// The number of objects ever allocated.
    pub fn allocated(&self) -> usize {
        self.state.borrow().objects.len()
    }

    /// The objects of `set`, in order.
    pub fn members(&self, set: &Set) -> Vec<Object> {
        self.state.borrow().sets[set.0].iter().copied().collect()
    }

    /// The tracked objects of generation `oldest` and everything younger that
    /// nothing outside them reaches, by search from the outside.
    ///
    /// Outside are references from outside the heap, objects of older
    /// generations, untracked objects and immortal ones.
    pub fn oracle(&self, oldest: usize) -> Vec<Object> {
        let inside: Vec<usize> = (0..=oldest)
            .map(|index| self.generations[index].0)
            .collect();
        self.unreachable_in(&inside)
    }

    fn unreachable_in(&self, sets: &[usize]) -> Vec<Object> {
        self.unreached(|entry| {
            !entry.dead && !entry.immortal && entry.set.is_some_and(|set| sets.contains(&set))
        })
    }

    /// Everything that lives and that no outside reference leads to, tracked or not.
    pub fn forgotten(&self) -> Vec<Object> {
        self.unreached(|entry| !entry.dead)
    }

    fn unreached(&self, is_inside: impl Fn(&Entry) -> bool) -> Vec<Object> {
        let state = self.state.borrow();
        let mut reached = vec![false; state.objects.len()];
        let mut queue = VecDeque::new();
        for (object, entry) in state.objects.iter().enumerate() {
            if !entry.dead && (entry.external + entry.pins > 0 || !is_inside(entry)) {
                reached[object] = true;
                queue.push_back(object);
            }
        }
        while let Some(object) = queue.pop_front() {
            for &target in &state.objects[object].edges {
                if !std::mem::replace(&mut reached[target], true) {
                    queue.push_back(target);
                }
            }
        }
        (0..state.objects.len())
            .filter(|&object| is_inside(&state.objects[object]) && !reached[object])
            .collect()
    }

    /// Asserts that counts are exact, that sets and objects agree, and that no
    /// object is left a candidate.
    pub fn check(&self) {
        let state = self.state.borrow();
        assert_eq!(state.opened, None);
        let mut counted: Vec<usize> = state.objects.iter().map(|entry| entry.external).collect();
        for entry in state.objects.iter().filter(|entry| !entry.dead) {
            for &target in &entry.edges {
                counted[target] += 1;
            }
        }
        for (object, entry) in state.objects.iter().enumerate() {
            if entry.dead {
                assert_eq!(counted[object], 0, "a reference to freed object {object}");
            } else {
                assert_eq!(
                    entry.references, counted[object],
                    "count of object {object}"
                );
                assert_eq!(entry.pins, 0);
                assert!(!entry.candidate, "object {object} was left a candidate");
                assert!(
                    entry.set.is_none_or(|set| set <= self.permanent.0),
                    "object {object} was left in a set of the collector"
                );
            }
        }
        let mut members = 0;
        for (number, set) in state.sets.iter().enumerate() {
            for &object in set {
                assert_eq!(state.objects[object].set, Some(number));
                members += 1;
            }
        }
        let tracked = state.objects.iter().filter(|entry| entry.set.is_some());
        assert_eq!(members, tracked.count());
    }

    /// Collects `generation` and everything younger, as a host does: merges,
    /// collects, counts. Returns `None` while another collection is running.
    pub fn collect(&self, generation: usize) -> Option<Outcome> {
        if std::mem::replace(&mut self.state.borrow_mut().collecting, true) {
            return None;
        }
        self.found.borrow_mut().clear();
        self.abandoned.borrow_mut().clear();
        self.condemned.borrow_mut().clear();
        self.settled.borrow_mut().clear();
        *self.garbage_at_clearing.borrow_mut() = None;
        *self.set_at_clearing.borrow_mut() = None;
        for younger in 0..generation {
            self.merge(&self.generations[younger], &self.generations[generation]);
        }
        let young = &self.generations[generation];
        let old = &self.generations[(generation + 1).min(2)];
        let outcome = collect(self, young, old, generation == 2, generation, |user| {
            user(&mut self.stack.borrow_mut())
        });
        self.state.borrow_mut().collecting = false;
        Some(outcome)
    }

    fn run(&self, actions: &[Action]) {
        for action in actions {
            self.act(action);
        }
    }

    fn act(&self, action: &Action) {
        let exists = |object: &Object| *object < self.allocated() && self.lives(*object);
        match action {
            Action::Root(object) if exists(object) => self.root(*object),
            Action::Unroot(object) if exists(object) && self.has_external(*object) => {
                self.unroot(*object);
            }
            Action::Link(from, to) if exists(from) && exists(to) => self.link(*from, *to),
            Action::Clear(object) if exists(object) => self.drop_edges(*object),
            Action::Upgrade(weak) if exists(weak) => {
                if let Some(target) = self.target(*weak) {
                    assert!(
                        !self.found.borrow().contains(&target),
                        "an unreachable object was reached through a weak reference"
                    );
                    self.root(target);
                }
            }
            Action::AllocateCycle => {
                let objects: [Object; 2] = self.allocate_many();
                self.ring(&objects);
                self.unroot_all(&objects);
            }
            Action::Collect => assert_eq!(
                self.collect(2).is_none(),
                self.state.borrow().collecting,
                "collections must not nest"
            ),
            _ => {}
        }
    }

    fn drop_edges(&self, object: Object) {
        let edges = self.with(object, |entry| std::mem::take(&mut entry.edges));
        for target in edges {
            self.release(target);
        }
    }

    /// Takes one off the count, and frees the object when that was the last.
    fn release(&self, object: Object) {
        let last = self.with(object, |entry| {
            entry.references -= 1;
            entry.references == 0
        });
        if last {
            self.free(object);
        }
    }

    /// What a count of zero does: finalizer, weak references, destructor, end.
    fn free(&self, object: Object) {
        // Foreign code may take references and give them back meanwhile.
        self.with(object, |entry| entry.references = 1);
        self.finalize_with(object);
        let resurrected = self.with(object, |entry| {
            entry.references -= 1;
            entry.references > 0
        });
        if resurrected {
            return;
        }
        self.with(object, |entry| entry.references = 1);
        for weak in self.with(object, |entry| std::mem::take(&mut entry.weak)) {
            if self.lives(weak) {
                self.with(weak, |entry| entry.target = None);
                self.call_back(weak);
            }
        }
        let target = self.with(object, |entry| entry.target.take());
        if let Some(target) = target.filter(|&target| self.lives(target)) {
            self.with(target, |entry| entry.weak.retain(|&other| other != object));
        }
        let destructor = self.with(object, |entry| std::mem::take(&mut entry.destructor));
        self.run(&destructor);
        // The destructors of its referents may store to it again.
        while self.with(object, |entry| !entry.edges.is_empty()) {
            self.drop_edges(object);
        }
        let saved = self.with(object, |entry| {
            entry.references -= 1;
            entry.references > 0
        });
        if saved {
            return;
        }
        self.untrack(object);
        self.with(object, |entry| entry.dead = true);
        self.state.borrow_mut().log.push(Event::Freed(object));
    }

    fn finalize_with(&self, object: Object) -> bool {
        let script = self.with(object, |entry| {
            let due = entry.finalizer.is_some() && !entry.finalized;
            entry.finalized |= due;
            due.then(|| entry.finalizer.clone()).flatten()
        });
        let Some(script) = script else { return false };
        self.state.borrow_mut().log.push(Event::Finalized(object));
        self.run(&script);
        true
    }

    fn call_back(&self, weak: Object) -> bool {
        let Some(script) = self.with(weak, |entry| entry.callback.take()) else {
            return false;
        };
        // The callback's argument is a reference.
        self.pin(weak);
        self.state.borrow_mut().log.push(Event::Callback(weak));
        self.run(&script);
        self.unpin(weak);
        true
    }

    fn step(&self) {
        self.steps.set(self.steps.get() + 1);
    }

    fn assert_closed(&self, set: &Set) {
        assert_ne!(
            self.state.borrow().opened,
            Some(set.0),
            "an opened set may only be walked"
        );
    }
}

// SAFETY: counts include every edge (`check` proves it after each test), sets
// are plain queues, and scripts run only where the trait says so.
unsafe impl Model for Heap {
    type Object = Object;
    type Set = Set;

    fn empty(&self) -> Set {
        let mut state = self.state.borrow_mut();
        state.sets.push(VecDeque::new());
        Set(state.sets.len() - 1)
    }

    fn first(&self, set: &Set) -> Option<Object> {
        self.assert_closed(set);
        self.state.borrow().sets[set.0].front().copied()
    }

    fn each(&self, set: &Set, mut visit: impl FnMut(Object)) {
        let before = self.members(set);
        for &object in &before {
            self.step();
            visit(object);
        }
        assert_eq!(before, self.members(set), "a set changed during a walk");
    }

    fn transfer(&self, object: Object, set: &Set) {
        self.assert_closed(set);
        self.with(object, |_| ());
        let mut state = self.state.borrow_mut();
        let from = state.objects[object].set.replace(set.0);
        let from = from.expect("only tracked objects move");
        state.sets[from].retain(|&other| other != object);
        state.sets[set.0].push_back(object);
    }

    fn merge(&self, from: &Set, onto: &Set) {
        self.assert_closed(from);
        self.assert_closed(onto);
        assert_ne!(from.0, onto.0);
        let mut state = self.state.borrow_mut();
        let objects = std::mem::take(&mut state.sets[from.0]);
        for &object in &objects {
            state.objects[object].set = Some(onto.0);
        }
        state.sets[onto.0].extend(objects);
    }

    fn open(&self, set: &Set) -> usize {
        assert_eq!(self.state.borrow().opened, None);
        for object in self.members(set) {
            if self.with(object, |entry| entry.immortal) {
                self.transfer(object, &self.permanent);
            } else {
                self.with(object, |entry| {
                    assert!(!entry.candidate, "object {object} is a candidate already");
                    entry.candidate = true;
                    entry.scratch = entry.references;
                });
            }
        }
        self.state.borrow_mut().opened = Some(set.0);
        self.members(set).len()
    }

    fn close(&self, set: &Set, mut root: impl FnMut(Object)) {
        assert_eq!(self.state.borrow().opened, Some(set.0));
        for object in self.members(set) {
            self.step();
            let kept = self.with(object, |entry| {
                let kept = entry.candidate && entry.scratch > 0;
                entry.candidate &= !kept;
                kept
            });
            if kept {
                root(object);
            }
        }
        self.state.borrow_mut().opened = None;
    }

    fn partition(&self, set: &Set, candidates: bool, onto: &Set) -> usize {
        self.assert_closed(set);
        let moving: Vec<Object> = self
            .members(set)
            .into_iter()
            .filter(|&object| self.is_candidate(object) == candidates)
            .collect();
        for &object in &moving {
            self.transfer(object, onto);
        }
        moving.len()
    }

    fn is_candidate(&self, object: Object) -> bool {
        self.with(object, |entry| entry.candidate)
    }

    fn revive(&self, object: Object) {
        self.with(object, |entry| {
            assert!(entry.candidate, "only a candidate can be revived");
            entry.candidate = false;
        });
    }

    fn decrement(&self, object: Object) {
        self.with(object, |entry| {
            assert!(entry.candidate, "only candidates have scratch counts");
            entry.scratch -= 1;
        });
    }

    fn visit_candidates(&self, object: Object, mut visit: impl FnMut(Object)) {
        for target in self.with(object, |entry| entry.edges.clone()) {
            self.step();
            if self.is_candidate(target) {
                visit(target);
            }
        }
    }

    fn is_uncollectable(&self, object: Object) -> bool {
        self.with(object, |entry| entry.uncollectable)
    }

    fn clear_weak_references(&self, unreachable: &Set, old: &Set) -> WeakOutcome {
        let mut outcome = WeakOutcome::default();
        let mut due = Vec::new();
        for object in self.members(unreachable) {
            if let Some(target) = self.with(object, |entry| entry.target.take()) {
                self.with(target, |entry| entry.weak.retain(|&other| other != object));
            }
            for weak in self.with(object, |entry| std::mem::take(&mut entry.weak)) {
                self.with(weak, |entry| entry.target = None);
                if self.with(weak, |entry| entry.callback.is_some()) && !self.is_candidate(weak) {
                    self.pin(weak);
                    due.push(weak);
                }
            }
        }
        for weak in due {
            outcome.ran_foreign_code |= self.call_back(weak);
            self.unpin(weak);
            if self.lives(weak) {
                if self.tracked(weak) {
                    self.transfer(weak, old);
                }
            } else {
                outcome.freed += 1;
            }
        }
        outcome
    }

    fn finalize(&self, object: Object) -> bool {
        self.pin(object);
        let ran = self.finalize_with(object);
        self.unpin(object);
        ran
    }

    fn condemned(&self, garbage: &Set) {
        assert!(
            self.garbage_at_clearing.borrow().is_none(),
            "nothing is cleared yet"
        );
        *self.condemned.borrow_mut() = self.members(garbage);
    }

    fn clear(&self, object: Object) {
        if self.garbage_at_clearing.borrow().is_none() {
            let set = self.with(object, |entry| entry.set).unwrap();
            *self.garbage_at_clearing.borrow_mut() = Some(self.unreachable_in(&[set]));
            *self.set_at_clearing.borrow_mut() = Some(self.members(&Set(set)));
        }
        if self.keep.get() {
            self.root(object);
            return;
        }
        self.state.borrow_mut().log.push(Event::Cleared(object));
        self.pin(object);
        self.drop_edges(object);
        self.unpin(object);
    }

    fn settle(&self, survivors: &Set, generation: usize) -> usize {
        let members = self.members(survivors);
        let before = members.len();
        for &object in &members {
            assert!(!self.is_candidate(object), "a survivor is a candidate");
            if self.with(object, |entry| entry.atomic) {
                self.untrack(object);
            }
        }
        self.settled.borrow_mut().push((generation, members));
        before - self.members(survivors).len()
    }

    fn found(&self, unreachable: &Set) -> bool {
        let script = self.report.take();
        self.run(&script);
        self.found.borrow_mut().extend(self.members(unreachable));
        !script.is_empty()
    }

    fn abandoned(&self, uncollectable: &Set) {
        let members = self.members(uncollectable);
        self.abandoned.borrow_mut().extend(members);
    }
}
