//! A field that does something when it is dropped.

use std::cell::RefCell;

/// Types that derive `Trace` have no `Drop` of their own; this one has.
#[derive(Default)]
pub struct AtDrop(RefCell<Option<Box<dyn FnOnce()>>>);

impl AtDrop {
    pub fn set(&self, action: impl FnOnce() + 'static) {
        *self.0.borrow_mut() = Some(Box::new(action));
    }
}

impl Drop for AtDrop {
    fn drop(&mut self) {
        if let Some(action) = self.0.take() {
            action();
        }
    }
}
