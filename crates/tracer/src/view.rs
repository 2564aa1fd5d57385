//! Who is looking: the program itself, or wrasse's own profile.

/// One of the two independent observers that share the tracer's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The traced program's own tracing (`tracemalloc.start()`).
    Program,
    /// The profile that wrasse keeps, whatever the program does.
    Profile,
}

impl View {
    /// Both views, in the order of [`View::index`].
    pub const ALL: [View; 2] = [View::Program, View::Profile];

    /// Position in per-view arrays.
    #[inline]
    pub const fn index(self) -> usize {
        match self {
            View::Program => 0,
            View::Profile => 1,
        }
    }
}

/// A set of views; each owner of blocks carries one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ViewSet(u8);

impl ViewSet {
    /// No view at all.
    pub const EMPTY: ViewSet = ViewSet(0);

    /// The set of this one view.
    #[inline]
    pub const fn only(view: View) -> Self {
        ViewSet(1 << view.index())
    }

    /// The set whose [`ViewSet::bits`] are these; unknown bits are dropped.
    #[inline]
    pub const fn from_bits(bits: u8) -> Self {
        ViewSet(bits & 0b11)
    }

    /// One bit a view, at its index.
    #[inline]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Is `view` in the set?
    #[inline]
    pub const fn contains(self, view: View) -> bool {
        self.0 & (1 << view.index()) != 0
    }

    /// The set with `view` in it.
    #[must_use]
    #[inline]
    pub const fn with(self, view: View) -> Self {
        ViewSet(self.0 | 1 << view.index())
    }

    /// The set without `view`.
    #[must_use]
    #[inline]
    pub const fn without(self, view: View) -> Self {
        ViewSet(self.0 & !(1 << view.index()))
    }

    /// Is nobody looking?
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_come_and_go_one_by_one() {
        let both = ViewSet::only(View::Program).with(View::Profile);
        assert!(both.contains(View::Program) && both.contains(View::Profile));
        let one = both.without(View::Program);
        assert_eq!(one, ViewSet::only(View::Profile));
        assert!(one.without(View::Profile).is_empty());
        assert_eq!(ViewSet::from_bits(both.bits()), both);
    }
}
