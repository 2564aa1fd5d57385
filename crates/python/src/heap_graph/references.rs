//! A picture as the algorithms on graphs want it: what is written down is read
//! there, anything else is asked of the objects.

use wrasse_graph::{Node, References, Weighted};

use super::Picture;
use super::referents::{may_refer, referents};

impl References for Picture {
    fn len(&self) -> usize {
        self.index.len()
    }

    #[inline]
    fn each(&self, node: Node, mut visit: impl FnMut(Node)) {
        if !self.graph.is_empty() {
            return self.graph.each(node, visit);
        }
        let mut last = None;
        // SAFETY: the objects of a picture stand still as long as it does.
        unsafe {
            referents(self.object(node), &mut |target| {
                if let Some(node) = self.node(target)
                    && last != Some(node)
                    && !self.is_eternal.get(node)
                {
                    last = Some(node);
                    visit(node);
                }
            });
        }
    }

    #[inline]
    fn refers(&self, node: Node) -> bool {
        if !self.graph.is_empty() {
            return self.graph.refers(node);
        }
        // SAFETY: as above.
        unsafe { may_refer(self.object(node)) }
    }
}

impl Weighted for Picture {
    #[inline]
    fn kind(&self, node: Node) -> u32 {
        if !self.graph.is_empty() {
            return self.graph.kind(node);
        }
        // SAFETY: as above; all types were counted.
        unsafe { self.kinds.known(self.object(node)) }
    }

    fn weigh(&self, node: Node, mut visit: impl FnMut(Node)) -> (u32, u64) {
        if !self.graph.is_empty() {
            return self.graph.weigh(node, visit);
        }
        let object = self.object(node);
        let mut last = None;
        // SAFETY: as above.
        unsafe {
            let (kind, mut size) = self.kinds.read(object);
            referents(object, &mut |target| match self.node(target) {
                Some(node) if last != Some(node) && !self.is_eternal.get(node) => {
                    last = Some(node);
                    visit(node);
                }
                Some(_) => {}
                // A part.
                None => size += self.kinds.read(target).1,
            });
            (kind, size)
        }
    }
}
