//! Two collections, of which the first that has a module wins.

use crate::{Collection, FetchError, ModuleName, Source};

/// A collection, and another for what it has not: made by [`Collection::or_else`].
#[derive(Debug)]
pub struct OrElse {
    first: Box<dyn Collection>,
    second: Box<dyn Collection>,
}

impl OrElse {
    pub(super) fn new(first: impl Collection + 'static, second: impl Collection + 'static) -> Self {
        Self { first: Box::new(first), second: Box::new(second) }
    }
}

impl Collection for OrElse {
    fn names(&self) -> Result<Vec<ModuleName>, FetchError> {
        let mut names = self.first.names()?;
        names.extend(self.second.names()?);
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn source(&self, name: &ModuleName) -> Result<Option<Source>, FetchError> {
        let found = [self.first.source(name), self.second.source(name)];
        if !found.iter().any(|found| matches!(found, Ok(Some(_)))) {
            // One that cannot be asked may have it.
            return found.into_iter().find(Result::is_err).unwrap_or(Ok(None));
        }
        let places = [self.first.place(name), self.second.place(name)];
        let links = found.into_iter().zip(places);
        // A chain knows what to do about one that cannot be asked.
        let links = links.filter_map(|(found, place)| found.ok().flatten().or(place));
        Ok(one_or_chain(links.collect()))
    }

    fn place(&self, name: &ModuleName) -> Option<Source> {
        let places = [self.first.place(name), self.second.place(name)];
        one_or_chain(places.into_iter().flatten().collect())
    }
}

/// The first of them that has the module, at every look anew, where there are several.
fn one_or_chain(mut sources: Vec<Source>) -> Option<Source> {
    match sources.len() {
        0 | 1 => sources.pop(),
        _ => Some(Source::chain(sources).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has these modules, or is down.
    #[derive(Debug)]
    struct Fake {
        place: &'static str,
        modules: Option<&'static [&'static str]>,
        knows_places: bool,
    }

    impl Collection for Fake {
        fn names(&self) -> Result<Vec<ModuleName>, FetchError> {
            let modules = self.modules.ok_or_else(|| FetchError::unavailable("it is down"))?;
            Ok(modules.iter().map(|name| ModuleName::new(name).unwrap()).collect())
        }
        fn source(&self, name: &ModuleName) -> Result<Option<Source>, FetchError> {
            let is_there = self.names()?.contains(name);
            Ok(is_there.then(|| format!("{}/{name}", self.place).into()))
        }
        fn place(&self, name: &ModuleName) -> Option<Source> {
            self.knows_places.then(|| format!("{}/{name}", self.place).into())
        }
    }

    fn asked(first: Option<&'static [&'static str]>, name: &str) -> Result<String, String> {
        let first = Fake { place: "db", modules: first, knows_places: true };
        let second = Fake { place: "files", modules: Some(&["a", "b"]), knows_places: false };
        let found = first.or_else(second).source(&ModuleName::new(name).unwrap());
        let found = found.map_err(|error| error.to_string())?;
        Ok(found.map_or("nowhere".to_owned(), |source| source.to_string()))
    }

    #[test]
    fn what_may_appear_in_the_first_is_looked_for_there() {
        let both = Ok("db/a, else files/a".to_owned());
        assert_eq!(asked(Some(&["a"]), "a"), both);
        assert_eq!(asked(Some(&[]), "a"), both);
        assert_eq!(asked(Some(&["c"]), "c"), Ok("db/c".to_owned()));
        assert_eq!(asked(Some(&[]), "c"), Ok("nowhere".to_owned()));
    }

    #[test]
    fn one_that_is_down_is_passed_over_where_the_other_has_it() {
        assert_eq!(asked(None, "a"), Ok("db/a, else files/a".to_owned()));
        assert_eq!(asked(None, "c"), Err("it is down".to_owned()));
    }
}
