//! The in-flight table: tag ↔ waiter, generation-checked.
//!
//! A tag is 16 bits of slot index and 16 bits of the slot's generation. The generation moves on each time the slot
//! falls free, so a completion that arrives twice, or was made up, meets no slot. A slot whose waiter gave up stays
//! taken, with its memory, until its completion arrives or the queue is gone.

// Std's own: a claim has one owner, so the model checker needs not follow its mark.
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::sync::{Mutex, lock};
use super::wait::Word;

/// A taken slot; the owner's claim on its answer.
#[derive(Debug)]
pub(crate) struct Ticket {
    index: u16,
    generation: u16,
    /// The claim was used. The generation alone does not tell for long: short tags have few.
    spent: AtomicBool,
}

impl Ticket {
    fn new(index: u16, generation: u16) -> Self {
        Self { index, generation, spent: AtomicBool::new(false) }
    }

    /// What goes into the descriptor and comes back with the completion.
    pub(crate) fn tag(&self) -> u32 {
        u32::from(self.generation) << 16 | u32::from(self.index)
    }

    pub(crate) fn index(&self) -> u16 {
        self.index
    }
}

/// A completion that fits no outstanding request: an unknown or spent tag, or the wrong ring slot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Impossible;

/// The table. `F`: what a slot holds while its request is out (the lent memory).
#[derive(Debug)]
pub(crate) struct Slots<F> {
    entries: Box<[Entry<F>]>,
    free: Mutex<Vec<u16>>,
    /// The last generation before they start again.
    last_generation: u16,
}

#[derive(Debug)]
struct Entry<F> {
    word: Word,
    cell: Mutex<Cell<F>>,
}

#[derive(Debug)]
struct Cell<F> {
    generation: u16,
    state: State<F>,
}

#[derive(Debug)]
enum State<F> {
    /// Nobody's, or reserved and not yet submitted.
    Free,
    /// With the device; someone waits.
    Pending { flight: F, ring_slot: u16 },
    /// With the device; nobody waits any more.
    Abandoned { flight: F, ring_slot: u16 },
    /// Answered; the waiter has not fetched it yet.
    Done(F),
}

impl<F> Slots<F> {
    /// A table of `count` slots.
    #[cfg(test)]
    pub(crate) fn new(count: u16) -> Self {
        Self::with_generations(count, u16::MAX)
    }

    /// A table of `count` slots whose generations run from 0 to `last_generation`, for descriptors with short tags.
    pub(crate) fn with_generations(count: u16, last_generation: u16) -> Self {
        let entry =
            |_| Entry { word: Word::new(), cell: Mutex::new(Cell { generation: 0, state: State::Free }) };
        Self {
            entries: (0..count).map(entry).collect(),
            free: Mutex::new((0..count).rev().collect()),
            last_generation,
        }
    }

    /// Takes a free slot; `None` when all are out.
    pub(crate) fn reserve(&self) -> Option<Ticket> {
        let index = lock(&self.free).pop()?;
        let entry = self.entries.get(usize::from(index))?;
        entry.word.reset();
        let generation = lock(&entry.cell).generation;
        Some(Ticket::new(index, generation))
    }

    /// Requests outstanding, abandoned ones included.
    pub(crate) fn taken(&self) -> usize {
        self.entries.len() - lock(&self.free).len()
    }

    /// Puts the request's memory into its slot. Must come before the doorbell: the completion may be as fast as it likes.
    pub(crate) fn fill(&self, ticket: &Ticket, flight: F, ring_slot: u16) {
        if let Some(entry) = self.entry(ticket.index) {
            lock(&entry.cell).state = State::Pending { flight, ring_slot };
        }
    }

    /// Takes the memory back from a request that never reached the device, and frees its slot.
    pub(crate) fn retract(&self, ticket: Ticket) -> Option<F> {
        let flight = {
            let mut cell = self.cell(&ticket)?;
            match std::mem::replace(&mut cell.state, State::Free) {
                State::Pending { flight, .. } => Some(flight),
                _ => None,
            }
        };
        self.release(ticket.index);
        flight
    }

    /// Accepts a completion. `store` writes what the device reported into the slot's memory; it runs only for a request
    /// that someone waits for. The memory of an abandoned one is dropped.
    /// # Errors
    /// [`Impossible`]: nothing outstanding has this tag and ring slot.
    pub(crate) fn complete(
        &self,
        tag: u32,
        ring_slot: u16,
        store: impl FnOnce(&mut F),
    ) -> Result<(), Impossible> {
        let [low, second, third, high] = tag.to_le_bytes();
        let index = u16::from_le_bytes([low, second]);
        let entry = self.entry(index).ok_or(Impossible)?;
        let mut cell = lock(&entry.cell);
        if cell.generation != u16::from_le_bytes([third, high]) {
            return Err(Impossible);
        }
        match std::mem::replace(&mut cell.state, State::Free) {
            State::Pending { mut flight, ring_slot: expected } if expected == ring_slot => {
                store(&mut flight);
                cell.state = State::Done(flight);
                // Under the lock: once it is open the waiter may leave and the word belong to the next request.
                entry.word.finish();
                Ok(())
            }
            State::Abandoned { flight, ring_slot: expected } if expected == ring_slot => {
                drop(cell);
                drop(flight);
                self.release(index);
                Ok(())
            }
            other => {
                cell.state = other;
                Err(Impossible)
            }
        }
    }

    /// True when [`Self::take`] will succeed. One load.
    pub(crate) fn finished(&self, ticket: &Ticket) -> bool {
        self.entry(ticket.index).is_some_and(|entry| entry.word.finished())
    }

    /// Fetches the answer and frees the slot; `None`, and the claim stays, when there is none yet.
    pub(crate) fn take(&self, ticket: &Ticket) -> Option<F> {
        let mut cell = self.cell(ticket)?;
        match std::mem::replace(&mut cell.state, State::Free) {
            State::Done(flight) => {
                ticket.spent.store(true, Ordering::Relaxed);
                drop(cell);
                self.release(ticket.index);
                Some(flight)
            }
            other => {
                cell.state = other;
                None
            }
        }
    }

    /// Gives up waiting. The memory stays in the slot until the device is done with it; if the answer came just now, it
    /// is returned after all. Without effect when the answer was fetched.
    pub(crate) fn abandon(&self, ticket: &Ticket) -> Option<F> {
        let mut cell = self.cell(ticket)?;
        ticket.spent.store(true, Ordering::Relaxed);
        match std::mem::replace(&mut cell.state, State::Free) {
            State::Done(flight) => {
                drop(cell);
                self.release(ticket.index);
                Some(flight)
            }
            State::Pending { flight, ring_slot } => {
                cell.state = State::Abandoned { flight, ring_slot };
                None
            }
            other => {
                cell.state = other;
                None
            }
        }
    }

    /// Sleeps until the answer, a nudge, or `timeout`.
    pub(crate) fn park(&self, ticket: &Ticket, timeout: Duration) {
        if let Some(entry) = self.entry(ticket.index) {
            entry.word.park(timeout);
        }
    }

    /// Wakes the waiter of slot `index` to look around.
    pub(crate) fn nudge(&self, index: u16) {
        if let Some(entry) = self.entry(index) {
            entry.word.nudge();
        }
    }

    /// Wakes every waiter to look around.
    pub(crate) fn nudge_all(&self) {
        for entry in &self.entries {
            entry.word.nudge();
        }
    }

    fn entry(&self, index: u16) -> Option<&Entry<F>> {
        self.entries.get(usize::from(index))
    }

    /// The slot, if the claim is still good.
    fn cell(&self, ticket: &Ticket) -> Option<super::sync::MutexGuard<'_, Cell<F>>> {
        if ticket.spent.load(Ordering::Relaxed) {
            return None;
        }
        let cell = lock(&self.entry(ticket.index)?.cell);
        (cell.generation == ticket.generation).then_some(cell)
    }

    /// The slot falls free; its tags are spent.
    fn release(&self, index: u16) {
        if let Some(entry) = self.entry(index) {
            let mut cell = lock(&entry.cell);
            cell.generation = if cell.generation >= self.last_generation { 0 } else { cell.generation + 1 };
            drop(cell);
            lock(&self.free).push(index);
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn submitted(slots: &Slots<Arc<u32>>, ring_slot: u16) -> (Ticket, Arc<u32>) {
        let flight = Arc::new(0);
        let ticket = slots.reserve().unwrap();
        slots.fill(&ticket, Arc::clone(&flight), ring_slot);
        (ticket, flight)
    }

    #[test]
    fn an_answer_reaches_its_waiter_once() {
        let slots = Slots::new(2);
        let (ticket, _) = submitted(&slots, 5);
        assert!(slots.take(&ticket).is_none());
        assert_eq!(slots.complete(ticket.tag(), 5, |flight| *flight = Arc::new(9)), Ok(()));
        assert!(slots.finished(&ticket));
        assert_eq!(slots.complete(ticket.tag(), 5, |_| {}), Err(Impossible), "twice, not fetched yet");
        assert_eq!(*slots.take(&ticket).unwrap(), 9);
        assert_eq!(slots.complete(ticket.tag(), 5, |_| {}), Err(Impossible), "twice, fetched");
        assert!(slots.take(&ticket).is_none());
        assert_eq!(slots.taken(), 0);
    }

    #[test]
    fn short_generations_start_again() {
        let slots = Slots::with_generations(1, 2);
        let mut tags = Vec::new();
        for _ in 0..4 {
            let (ticket, _) = submitted(&slots, 0);
            tags.push(ticket.tag() >> 16);
            slots.complete(ticket.tag(), 0, |_| {}).unwrap();
            slots.take(&ticket).unwrap();
        }
        assert_eq!(tags, [0, 1, 2, 0]);
    }

    /// A caller that fetched its answer and gives up its claim long after must not meet whoever has the same tag by then.
    #[test]
    fn a_spent_claim_does_not_meet_the_same_tag_again() {
        let slots = Slots::with_generations(1, 2);
        let (first, _) = submitted(&slots, 0);
        slots.complete(first.tag(), 0, |_| {}).unwrap();
        slots.take(&first).unwrap();
        for _ in 0..2 {
            let (ticket, _) = submitted(&slots, 0);
            slots.complete(ticket.tag(), 0, |_| {}).unwrap();
            slots.take(&ticket).unwrap();
        }
        let (victim, _) = submitted(&slots, 0);
        assert_eq!(victim.tag(), first.tag());
        assert!(slots.abandon(&first).is_none() && slots.take(&first).is_none());
        assert_eq!(slots.complete(victim.tag(), 0, |flight| *flight = Arc::new(9)), Ok(()));
        assert_eq!(slots.take(&victim).map(|flight| *flight), Some(9));
    }

    #[test]
    fn a_spent_tag_does_not_meet_the_slot_s_next_request() {
        let slots = Slots::new(1);
        let (first, _) = submitted(&slots, 0);
        slots.complete(first.tag(), 0, |_| {}).unwrap();
        slots.take(&first).unwrap();
        let (second, _) = submitted(&slots, 1);
        assert_eq!(first.index(), second.index());
        assert_eq!(slots.complete(first.tag(), 1, |_| {}), Err(Impossible));
        assert_eq!(slots.complete(second.tag(), 1, |_| {}), Ok(()));
    }

    #[test]
    fn wild_tags_and_wrong_ring_slots_are_refused() {
        let slots = Slots::new(2);
        let (ticket, _) = submitted(&slots, 3);
        for tag in [u32::MAX, 1, 2, 0xffff, 1 << 16 | ticket.tag()] {
            assert_eq!(slots.complete(tag, 3, |_| {}), Err(Impossible), "{tag:#x}");
        }
        assert_eq!(slots.complete(ticket.tag(), 4, |_| {}), Err(Impossible));
        assert_eq!(slots.complete(ticket.tag(), 3, |_| {}), Ok(()));
    }

    #[test]
    fn an_abandoned_request_keeps_its_memory_until_its_late_completion() {
        let slots = Slots::new(1);
        let (ticket, flight) = submitted(&slots, 0);
        assert!(slots.abandon(&ticket).is_none());
        assert_eq!(Arc::strong_count(&flight), 2);
        assert!(slots.reserve().is_none(), "the slot stays taken");
        slots.complete(ticket.tag(), 0, |_| panic!("nobody waits")).unwrap();
        assert_eq!(Arc::strong_count(&flight), 1);
        assert!(slots.reserve().is_some());
    }

    #[test]
    fn an_answer_that_wins_the_race_with_giving_up_is_delivered() {
        let slots = Slots::new(1);
        let (ticket, _) = submitted(&slots, 0);
        slots.complete(ticket.tag(), 0, |_| {}).unwrap();
        assert!(slots.abandon(&ticket).is_some());
        assert_eq!(slots.taken(), 0);
    }

    #[test]
    fn a_retracted_request_gives_its_memory_back() {
        let slots = Slots::new(1);
        let (ticket, flight) = submitted(&slots, 0);
        let tag = ticket.tag();
        assert!(slots.retract(ticket).is_some());
        assert_eq!(Arc::strong_count(&flight), 1);
        assert_eq!(slots.complete(tag, 0, |_| {}), Err(Impossible));
        assert!(slots.reserve().is_some());
    }

    #[test]
    fn the_table_ends() {
        let slots: Slots<()> = Slots::new(3);
        let tickets: Vec<_> = std::iter::from_fn(|| slots.reserve()).collect();
        assert_eq!(tickets.len(), 3);
        assert_eq!(slots.taken(), 3);
    }
}
