//! What a queue keeps for each message group that has messages in it.

use std::collections::HashMap;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

/// A group's place in one queue. It holds while the group has a message there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupId(u32);

/// Values by message group. A name is looked up once, when a message comes; from then on its number
/// finds the value at the same cost however many groups there are. The map is never iterated, so its
/// order cannot show.
#[derive(Debug, Clone)]
pub(super) struct ByGroup<T> {
    ids: HashMap<Arc<str>, GroupId>,
    slots: Vec<Slot<T>>,
    free: Vec<GroupId>,
}

#[derive(Debug, Clone)]
struct Slot<T> {
    name: Arc<str>,
    members: u32,
    value: T,
}

impl<T> Default for ByGroup<T> {
    fn default() -> Self {
        Self { ids: HashMap::new(), slots: Vec::new(), free: Vec::new() }
    }
}

impl<T: Default> ByGroup<T> {
    /// Counts one more message of a group, and tells the group's place.
    pub(super) fn join(&mut self, name: &str) -> GroupId {
        if let Some(id) = self.ids.get(name) {
            self.slots[id.0 as usize].members += 1;
            return *id;
        }
        let name: Arc<str> = name.into();
        let slot = Slot { name: Arc::clone(&name), members: 1, value: T::default() };
        let id = if let Some(id) = self.free.pop() {
            self.slots[id.0 as usize] = slot;
            id
        } else {
            self.slots.push(slot);
            // A queue holds far fewer messages than there are numbers.
            GroupId((self.slots.len() - 1) as u32)
        };
        self.ids.insert(name, id);
        id
    }

    /// Counts one message less. The last one takes the group's value with it.
    pub(super) fn leave(&mut self, id: GroupId) {
        let slot = &mut self.slots[id.0 as usize];
        slot.members -= 1;
        if slot.members == 0 {
            self.ids.remove(&slot.name);
            slot.value = T::default();
            self.free.push(id);
        }
    }
}

impl<T> ByGroup<T> {
    /// How many groups have messages.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn name(&self, id: GroupId) -> &Arc<str> {
        &self.slots[id.0 as usize].name
    }
}

impl<T> Index<GroupId> for ByGroup<T> {
    type Output = T;

    fn index(&self, id: GroupId) -> &T {
        &self.slots[id.0 as usize].value
    }
}

impl<T> IndexMut<GroupId> for ByGroup<T> {
    fn index_mut(&mut self, id: GroupId) -> &mut T {
        &mut self.slots[id.0 as usize].value
    }
}
