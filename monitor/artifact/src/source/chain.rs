//! Several sources, of which the first that has the module wins.

use crate::Source;

/// Sources in the order in which they are asked: made by [`Source::chain`].
///
/// The first that has the module wins, at every look anew: a module that is published to the database displaces the one on disk,
/// and one that is removed from it gives way. One that is there and broken wins as well: it is refused, and what runs goes on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chain {
    pub(super) name: String,
    links: Vec<ChainLink>,
}

/// One source of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ChainLink {
    /// The source; no chain.
    pub source: Source,
    /// What happens when it cannot be asked.
    pub when_down: WhenDown,
}

/// What becomes of a chain while one of its sources cannot be asked: a database that is locked, a directory that may not be
/// read. One that can, and has no such module, is passed over in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum WhenDown {
    /// What runs goes on, from the source that it came from: a failure never displaces it. Before anything runs, the next one is
    /// asked.
    #[default]
    KeepCurrent,
    /// The next source of the chain is asked.
    FallThrough,
}

impl Chain {
    pub(super) fn new(sources: impl Iterator<Item = Source>) -> Self {
        let mut chain = Self { name: String::new(), links: Vec::new() };
        for source in sources {
            match source {
                Source::Chain(inner) => chain.links.extend(inner.links),
                source => chain.links.push(ChainLink { source, when_down: WhenDown::default() }),
            }
        }
        chain.named()
    }

    /// The chain under the name of its sources.
    fn named(mut self) -> Self {
        let names: Vec<String> = self.links.iter().map(|link| link.source.to_string()).collect();
        self.name = names.join(", else ");
        self
    }

    /// Other sources, in the same order and under the same policies.
    pub(super) fn map(mut self, other: impl Fn(&Source) -> Source) -> Self {
        self.links.iter_mut().for_each(|link| link.source = other(&link.source));
        self.named()
    }

    /// What happens while one of the sources cannot be asked: [`WhenDown::KeepCurrent`] by default.
    #[must_use]
    pub fn when_down(mut self, when_down: WhenDown) -> Self {
        self.links.iter_mut().for_each(|link| link.when_down = when_down);
        self
    }

    /// The sources, in order. A chain inside a chain is one of its links.
    #[must_use]
    pub fn links(&self) -> &[ChainLink] {
        &self.links
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_in_a_chain_is_a_part_of_it_and_keeps_its_policy() {
        let inner = Source::chain(["a.rs", "b"]).when_down(WhenDown::FallThrough);
        let chain = Source::chain([Source::from(inner), "c.so".into()]);
        let policies: Vec<_> =
            chain.links().iter().map(|link| (link.source.to_string(), link.when_down)).collect();
        let expected = [
            ("a.rs".to_owned(), WhenDown::FallThrough),
            ("b".to_owned(), WhenDown::FallThrough),
            ("c.so".to_owned(), WhenDown::KeepCurrent),
        ];
        assert_eq!(policies, expected);
        let source = Source::from(chain);
        assert_eq!(
            (source.to_string(), source.kind()),
            ("a.rs, else b, else c.so".into(), "chain")
        );
    }
}
