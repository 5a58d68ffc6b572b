//! Models of the deque: one owner, one or two thieves. Included into each variant.

use super::deque::Owner;

/// What the sides have taken, each item once in the end. Its payload is checked by loom: an item is read by whoever takes
/// it, and was written by the owner before it was pushed.
struct Taken {
    data: Vec<UnsafeCell<u32>>,
    times: Vec<AtomicUsize>,
}

// SAFETY: the cells are loom's, which checks every access.
unsafe impl Sync for Taken {}
// SAFETY: as above.
unsafe impl Send for Taken {}

impl Taken {
    fn new(items: usize) -> Arc<Self> {
        Arc::new(Self {
            data: (0..items).map(|_| UnsafeCell::new(0)).collect(),
            times: (0..items).map(|_| AtomicUsize::new(0)).collect(),
        })
    }

    fn push(&self, owner: &Owner<usize>, item: usize) {
        // SAFETY: checked by loom.
        self.data[item].with_mut(|data| unsafe { *data = 1 });
        owner.push(item);
    }

    /// True if there was an item.
    fn take(&self, item: Option<usize>) -> bool {
        let Some(item) = item else { return false };
        // SAFETY: checked by loom.
        self.data[item].with_mut(|data| unsafe { assert_eq!(*data, 1) });
        self.times[item].fetch_add(1, Ordering::Relaxed);
        true
    }

    /// By the owner, when no thief is left: what is left is found.
    fn all_once(&self, owner: &Owner<usize>) {
        while self.take(owner.pop()) {}
        for times in &self.times {
            assert_eq!(times.load(Ordering::Relaxed), 1, "lost, or taken twice");
        }
    }
}

/// A thief that takes one item. True if there was one.
fn thief(taken: &Arc<Taken>, owner: &Owner<usize>) -> thread::JoinHandle<bool> {
    let (thief, taken) = (owner.thief(), taken.clone());
    thread::spawn(move || taken.take(thief.steal()))
}

/// A thief that takes half of them.
fn thief_of_half(taken: &Arc<Taken>, owner: &Owner<usize>) -> thread::JoinHandle<()> {
    let (thief, taken) = (owner.thief(), taken.clone());
    thread::spawn(move || {
        let own = Owner::new();
        taken.take(thief.steal_half(&own));
        while taken.take(own.pop()) {}
    })
}

/// The owner empties it while a thief takes one.
pub(crate) fn each_item_is_taken_once() {
    let taken = Taken::new(2);
    let owner = Owner::new();
    taken.push(&owner, 0);
    let thief = thief(&taken, &owner);
    taken.push(&owner, 1);
    taken.take(owner.pop());
    taken.take(owner.pop());
    thief.join().unwrap();
    taken.all_once(&owner);
}

/// The owner takes what a thief is after, and puts something else in its place.
pub(crate) fn an_item_in_the_same_place_is_another() {
    let taken = Taken::new(2);
    let owner = Owner::new();
    taken.push(&owner, 0);
    let thief = thief(&taken, &owner);
    let first = taken.take(owner.pop());
    taken.push(&owner, 1);
    let second = taken.take(owner.pop());
    let stolen = thief.join().unwrap();
    assert_eq!([first, second, stolen].into_iter().filter(|took| *took).count(), 2, "told empty");
    taken.all_once(&owner);
}

/// A thief comes while the owner pushes two and takes one back.
pub(crate) fn an_item_is_seen_below_one_that_was_popped() {
    let taken = Taken::new(2);
    let owner = Owner::new();
    let thief = thief(&taken, &owner);
    taken.push(&owner, 0);
    taken.push(&owner, 1);
    taken.take(owner.pop());
    thief.join().unwrap();
    taken.all_once(&owner);
}

/// A thief takes half of it while the owner takes from the other side.
pub(crate) fn half_of_the_items_are_taken_once() {
    let taken = Taken::new(3);
    let owner = Owner::new();
    (0..3).for_each(|item| taken.push(&owner, item));
    let thief = thief_of_half(&taken, &owner);
    taken.take(owner.pop());
    taken.take(owner.pop());
    thief.join().unwrap();
    taken.all_once(&owner);
}

/// Two thieves after two items.
pub(crate) fn two_thieves_take_two_items() {
    let taken = Taken::new(2);
    let owner = Owner::new();
    (0..2).for_each(|item| taken.push(&owner, item));
    let thieves = [(); 2].map(|()| thief(&taken, &owner));
    taken.take(owner.pop());
    for thief in thieves {
        thief.join().unwrap();
    }
    taken.all_once(&owner);
}

/// The owner takes the oldest item itself.
pub(crate) fn the_owner_takes_the_oldest() {
    let taken = Taken::new(2);
    let owner = Owner::new();
    (0..2).for_each(|item| taken.push(&owner, item));
    let thief = thief(&taken, &owner);
    assert!(taken.take(owner.pop_oldest()), "two items, one thief");
    thief.join().unwrap();
    taken.all_once(&owner);
}

/// The owner comes round to the slots that a thief reads, or needs more of them.
pub(crate) fn no_slot_is_written_too_early() {
    let taken = Taken::new(6);
    let owner = Owner::new();
    (0..4).for_each(|item| taken.push(&owner, item));
    let thief = thief(&taken, &owner);
    taken.push(&owner, 4);
    taken.push(&owner, 5);
    thief.join().unwrap();
    taken.all_once(&owner);
}

/// There are so many that the owner leaves the older ones to the lock, and then comes to those.
pub(crate) fn what_is_left_to_the_lock_is_taken_once() {
    let taken = Taken::new(5);
    let owner = Owner::new();
    (0..5).for_each(|item| taken.push(&owner, item));
    let thief = thief_of_half(&taken, &owner);
    for _ in 0..4 {
        taken.take(owner.pop());
    }
    thief.join().unwrap();
    taken.all_once(&owner);
}
