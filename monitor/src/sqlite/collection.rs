//! All modules of a database, by name.

use std::path::{Path, PathBuf};

use hotswap_artifact::{Collection, Fetch as _, FetchError, ModuleName, Source};

use super::{DatabaseErrorKind, ModuleDatabase, SqliteSource};

/// The modules of a database, for a registry of engines. The database need not be there yet.
#[derive(Debug, Clone)]
pub struct SqliteModules(PathBuf);

impl SqliteModules {
    /// The modules of this database. A relative path is taken from the working directory of now. Reads nothing.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        Self(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }

    fn module(&self, name: &ModuleName) -> Option<SqliteSource> {
        // A name of several parts is none that a database takes.
        SqliteSource::new(&self.0, name.as_str()).ok()
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(super::database::identity(&self.0), Err(DatabaseErrorKind::Missing))
    }
}

impl Collection for SqliteModules {
    fn names(&self) -> Result<Vec<ModuleName>, FetchError> {
        if self.is_missing() {
            return Ok(Vec::new());
        }
        let names = ModuleDatabase::open(&self.0).and_then(|database| database.names(None));
        let names = names
            .map_err(|error| FetchError::unavailable("cannot list the modules").caused_by(error))?;
        Ok(names.iter().filter_map(|name| ModuleName::new(name).ok()).collect())
    }

    fn source(&self, name: &ModuleName) -> Result<Option<Source>, FetchError> {
        let Some(source) = self.module(name).filter(|_| !self.is_missing()) else {
            return Ok(None);
        };
        let is_there = source.fingerprint()?.is_some();
        Ok(is_there.then(|| source.into()))
    }

    fn place(&self, name: &ModuleName) -> Option<Source> {
        self.module(name).map(Source::from)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Code, MODULES_MAX, Publication};
    use super::*;

    #[test]
    fn what_is_published_is_found_by_name() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("modules.db");
        let modules = SqliteModules::new(&path);
        let greet = ModuleName::new("greet").unwrap();
        assert_eq!(modules.names().unwrap(), []);
        assert_eq!(modules.source(&greet).unwrap(), None);
        let mut database = ModuleDatabase::create(&path).unwrap();
        assert_eq!(modules.source(&greet).unwrap(), None);
        database.publish(&Publication::new("greet", Code::Text(String::new()))).unwrap();
        assert_eq!(modules.names().unwrap(), std::slice::from_ref(&greet));
        assert_eq!(modules.source(&greet).unwrap(), modules.place(&greet));
        let nested = ModuleName::new("a/greet").unwrap();
        assert_eq!((modules.source(&nested).unwrap(), modules.place(&nested)), (None, None));
        std::fs::write(&path, "no database").unwrap();
        assert!(modules.names().is_err() && modules.source(&greet).is_err());
    }
    #[test]
    fn d20_more_modules_than_are_looked_through_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("modules.db");
        let modules = SqliteModules::new(&path);
        let greet = ModuleName::new("greet").unwrap();
        let mut database = ModuleDatabase::create(&path).unwrap();
        database.publish(&Publication::new("greet", Code::Text(String::new()))).unwrap();
        let others = format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {MODULES_MAX})
             INSERT INTO module SELECT 'm' || n, 1 FROM n"
        );
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch(&others).unwrap();
        let error = modules.source(&greet).unwrap_err();
        assert!(error.to_string().contains("more than 100000 modules"), "{error}");
        assert!(modules.names().is_err());
        other.execute_batch("DELETE FROM module WHERE name = 'm1'").unwrap();
        assert_eq!(modules.names().unwrap().len(), MODULES_MAX);
        assert!(modules.source(&greet).unwrap().is_some());
    }
}
