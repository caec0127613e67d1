//! A module on a web server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use hotswap_artifact::{Attachment, FetchError};
use hotswap_system::clock;
use hotswap_trust::{FileEntry, MANIFEST_NAME, SIGNED_BYTES_MAX, Timestamp};
use parking_lot::Mutex;
use ureq::Body;
use ureq::http::Response;

use super::Mirror;
use super::body::read;
use super::client::{Client, Patience, Question};
use super::headers::{Validators, fresh_for, retry_after};
use super::long_poll::LongPoll;
use crate::delivery::{Answer, Place};

/// The releases of one module on one channel, on one web server.
#[derive(Debug)]
pub(super) struct HttpPlace {
    name: String,
    module: String,
    asked: Arc<Asked>,
    long_poll: Option<LongPoll>,
    /// Held while the manifest is asked for: what is the same is so compared with the last answer.
    turn: Mutex<()>,
    /// Somebody asks: what was said of how long the answer is good for counts no more.
    is_refreshed: AtomicBool,
}

/// A server, and what it said last.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) client: Arc<Client>,
    /// Where the manifest lies.
    pub(super) path: String,
    known: Mutex<Known>,
    /// Has a token when the manifest was read anew.
    renewed: (Sender<()>, Receiver<()>),
}

#[derive(Debug, Default)]
struct Known {
    validators: Option<Arc<Validators>>,
    fresh_until: Option<Instant>,
    /// And by the calendar, for people: what is said of it is the same at each look.
    silent_until: Option<(Instant, Timestamp)>,
}

impl HttpPlace {
    pub(super) fn new(
        mirror: Mirror,
        module: &str,
        channel: &str,
        patience: Patience,
        is_polled: bool,
    ) -> Self {
        let name = format!("{}#{module}", mirror.address);
        let path = mirror.address.below(&format!("{module}/{channel}/{MANIFEST_NAME}"));
        let client = Client::new(mirror, patience);
        let asked = Arc::new(Asked { client, path, known: Mutex::default(), renewed: bounded(1) });
        Self {
            name,
            module: module.to_string(),
            long_poll: is_polled.then(LongPoll::default),
            asked,
            turn: Mutex::default(),
            is_refreshed: AtomicBool::new(false),
        }
    }
}

#[cfg(test)]
impl HttpPlace {
    pub(super) fn asked(&self) -> &Asked {
        &self.asked
    }
}

impl Asked {
    /// What the last answer is known by.
    pub(super) fn validators(&self) -> Option<Arc<Validators>> {
        self.known.lock().validators.clone()
    }

    /// A channel with a token when the manifest was read anew.
    pub(super) fn renewed(&self) -> &Receiver<()> {
        &self.renewed.1
    }

    /// Asks, unless the server wants to be left alone.
    pub(super) fn ask(&self, question: &Question<'_>) -> Result<Response<Body>, FetchError> {
        let silent_until = self.known.lock().silent_until;
        if let Some((_, until)) = silent_until.filter(|(until, _)| clock::now() < *until) {
            let origin = self.client.origin();
            return Err(FetchError::unavailable(format!(
                "{origin} wants to be left alone until {until}"
            )));
        }
        let response = self.client.ask(question)?;
        if matches!(response.status().as_u16(), 429 | 503) {
            let now = Timestamp::now();
            let wait = retry_after(response.headers(), now);
            self.known.lock().silent_until =
                wait.map(|wait| (clock::now() + wait, now.after(wait)));
        }
        Ok(response)
    }

    /// Why a status is no answer.
    fn unexpected(&self, response: &Response<Body>) -> FetchError {
        let (origin, status) = (self.client.origin(), response.status().as_u16());
        let has_shown = self.client.mirror().credential.is_some();
        let what = match status {
            401 | 407 if !has_shown => {
                "wants to know who asks: give `bearer` (--bearer-file) or `basic`"
            }
            403 if !has_shown => {
                "does not let everybody read this: give `bearer` (--bearer-file) or `basic`"
            }
            401 | 403 | 407 => "does not accept what it is shown",
            404 | 410 => "has no such file",
            429 => "is asked too often",
            500..=599 => "has a problem of its own",
            _ => "answers what no place of modules answers",
        };
        FetchError::unavailable(format!("{origin} {what} (status {status})"))
    }
}

impl Place for HttpPlace {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn manifest(&self) -> Result<Answer, FetchError> {
        let _turn = self.turn.lock();
        // Relaxed: whoever asked did so before it has this look made.
        let is_refreshed = self.is_refreshed.swap(false, Ordering::Relaxed);
        let asked = &*self.asked;
        let (validators, fresh_until) = {
            let known = asked.known.lock();
            (known.validators.clone(), known.fresh_until)
        };
        if !is_refreshed && fresh_until.is_some_and(|until| clock::now() < until) {
            return Ok(Answer::Same);
        }
        let mut response = asked.ask(&Question {
            path: asked.path.clone(),
            known: validators.as_deref(),
            ..Question::default()
        })?;
        let fresh_until = clock::now() + fresh_for(response.headers());
        match response.status().as_u16() {
            200 => {
                let mut bytes = Vec::new();
                // Whoever is asked next has nothing to be the same as, until all of this is there.
                *asked.known.lock() = Known::default();
                read(&asked.client, response.body_mut(), SIGNED_BYTES_MAX as u64, &mut |chunk| {
                    bytes.extend_from_slice(chunk);
                    Ok(())
                })?;
                let mut known = asked.known.lock();
                known.validators = Validators::of(response.headers()).map(Arc::new);
                known.fresh_until = Some(fresh_until);
                drop(known);
                // One token is enough.
                let _full = asked.renewed.0.try_send(());
                Ok(Answer::Manifest(bytes))
            }
            304 if validators.is_some() => {
                asked.known.lock().fresh_until = Some(fresh_until);
                Ok(Answer::Same)
            }
            304 => Err(FetchError::unavailable(format!(
                "{} says that nothing changed, and was not asked that (status 304)",
                asked.client.origin()
            ))),
            404 | 410 => {
                *asked.known.lock() = Known::default();
                Ok(Answer::Absent)
            }
            _ => Err(asked.unexpected(&response)),
        }
    }

    fn file(
        &self,
        file: &FileEntry,
        receive: &mut dyn FnMut(&[u8]) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        let asked = &*self.asked;
        let below = format!("{}/files/{}", self.module, file.hash);
        let path = asked.client.mirror().address.below(&below);
        let question = Question { path, bytes: file.bytes, ..Question::default() };
        let mut response = asked.ask(&question)?;
        match response.status().as_u16() {
            200 => read(&asked.client, response.body_mut(), file.bytes, receive),
            _ => Err(asked.unexpected(&response)),
        }
    }

    fn refresh(&self) {
        self.is_refreshed.store(true, Ordering::Relaxed);
    }

    fn attach(&self, monitor: &Attachment) {
        self.asked.client.attach(monitor);
        if let Some(long_poll) = &self.long_poll {
            long_poll.start(&self.asked, monitor);
        }
    }
}
