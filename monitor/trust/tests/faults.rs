//! Each step of remembering a release fails. In a process of its own: faults are for all threads.

use std::fs;
use std::panic::catch_unwind;

use hotswap_artifact::ContentHash;
use hotswap_system::fault::{Fault, Manner, Times, watch};
use hotswap_trust::{
    Accepted, CodeKind, FileEntry, FilePath, KeyPair, Manifest, StateError, Subject, Timestamp,
    TrustStore, Verified, Wanted,
};

fn release(key: &KeyPair, previous: Option<&Verified>) -> Verified {
    let expires = Timestamp::now().after(std::time::Duration::from_secs(3600));
    let mut manifest = Manifest::new("greet", CodeKind::File, expires);
    let path = FilePath::new("greet.rs").expect("a plain name");
    manifest.files = vec![FileEntry::new(path, 0, ContentHash::of(b""))];
    if let Some(previous) = previous {
        manifest.follow(previous);
    }
    let signed = key.sign(&manifest).expect("it is good");
    signed.verify(&key.public_keys()).expect("by this key")
}

struct Client {
    store: TrustStore,
    subject: Subject,
}

impl Client {
    fn check(&self, release: &Verified) -> Result<Accepted, StateError> {
        let state = self.store.load(&self.subject)?;
        let wanted = Wanted::new("greet", "", "", "");
        Ok(state.check(release, Timestamp::now(), &wanted).expect("it is good"))
    }

    fn take(&self, release: &Verified) -> Result<(), StateError> {
        self.store.remember(&self.subject, &self.check(release)?)
    }

    fn counter(&self) -> u64 {
        self.store.load(&self.subject).expect("it is whole").counter()
    }
}

/// Then the release before is remembered, or this one; the next attempt succeeds, and nothing is left.
#[test]
fn d24_every_step_of_remembering_may_fail() {
    let directory = tempfile::tempdir().unwrap();
    let store = TrustStore::open(directory.path()).unwrap();
    let subject = Subject::new("https://host/modules", "greet", "stable");
    let client = Client { store, subject };
    let key = KeyPair::generate(None).unwrap();
    let first = release(&key, None);
    let second = release(&key, Some(&first));
    client.take(&first).unwrap();
    let path = client.store.path(&client.subject);
    let before = fs::read(&path).unwrap();
    let watching = watch();
    client.take(&second).unwrap();
    let steps = watching.passed();
    let mut failed = 0;
    for (site, count) in steps {
        let passings =
            (0..count).flat_map(|number| [(number, Manner::Error), (number, Manner::Panic)]);
        for (number, manner) in passings {
            watching.clear();
            fs::write(&path, &before).unwrap();
            watching.inject(Fault { site, times: Times::Once(number), manner });
            let attempt = catch_unwind(|| client.take(&second));
            assert_eq!(watching.fired(), 1, "{site}");
            watching.clear();
            let is_good = matches!(attempt, Ok(Ok(())));
            failed += u64::from(!is_good);
            let counter = client.counter();
            assert!(counter == 2 || (counter == 1 && !is_good), "{site}: {counter}");
            client.take(&second).unwrap();
            assert_eq!(client.counter(), 2, "{site}");
            let names = fs::read_dir(directory.path()).unwrap().count();
            assert_eq!(names, 2, "{site}: the file and the lock");
        }
    }
    assert!(failed > 16, "{failed} of them failed");
}
