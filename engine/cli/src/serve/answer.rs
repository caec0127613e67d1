//! One answer to one request.

use std::io::{self, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use headers::{
    AcceptRanges, ContentRange, ETag, HeaderMapExt as _, HeaderValue, IfModifiedSince, IfNoneMatch,
    IfRange, LastModified, Range,
};
use hotswap_engine::ContentHash;
use hotswap_trust::MANIFEST_NAME;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::range::{Part, part};
use super::site::{Found, Site};
use crate::screen::Screen;

/// How long a request for a manifest may wait, whatever it asks for.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// How often a file is looked at that somebody waits for.
const LOOK: Duration = Duration::from_millis(100);

/// How long a client may take for one piece of a file.
const PIECE_TIME_MAX: Duration = Duration::from_secs(60);

/// How many pieces wait for a client that is slower than the disk.
const PIECES_MAX: usize = 2;

/// What a file of a release may be kept by: its name is its hash.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// What else is asked for again each time, by its ETag.
const ASK_AGAIN: &str = "no-cache";

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

type Body = Channel<Bytes, io::Error>;

/// What all connections share.
pub(super) struct Server {
    site: Arc<Site>,
    log: Option<Arc<Screen>>,
    ended: watch::Receiver<bool>,
}

/// A file, as it is when it is asked for.
struct Page {
    found: Found,
    hash: ContentHash,
    etag: ETag,
}

impl Server {
    pub(super) fn new(site: Site, log: Option<Arc<Screen>>, ended: watch::Receiver<bool>) -> Self {
        Self { site: Arc::new(site), log, ended }
    }

    /// Answers, and says so.
    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let response = self.respond(request).await;
        if let Some(screen) = &self.log {
            let (method, path) = (request.method(), request.uri().path());
            let length = response.headers().get(CONTENT_LENGTH);
            let length = length.and_then(|length| length.to_str().ok()).unwrap_or("-");
            let status = response.status().as_u16();
            screen.print(&format!("{method} {} {status} {length}", path.escape_debug()));
        }
        response
    }

    async fn respond<B>(&self, request: &Request<B>) -> Response<Body> {
        let is_head = request.method() == Method::HEAD;
        if !is_head && request.method() != Method::GET {
            let mut response = said(StatusCode::METHOD_NOT_ALLOWED, false);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let Some(names) = names(request.uri().path()) else {
            return said(StatusCode::NOT_FOUND, is_head);
        };
        let headers = request.headers();
        let known: Option<IfNoneMatch> = headers.typed_get();
        let Some(mut page) = self.page(&names).await else {
            return said(StatusCode::NOT_FOUND, is_head);
        };
        let is_same = |page: &Page| match &known {
            Some(known) => !known.precondition_passes(&page.etag),
            None => headers
                .typed_get::<IfModifiedSince>()
                .is_some_and(|since| !since.is_modified(page.found.modified)),
        };
        let wait = headers.get(PREFER).and_then(wait);
        let waits = wait.filter(|_| names.last().is_some_and(|name| name == MANIFEST_NAME));
        if let Some(wait) = waits
            && is_same(&page)
        {
            match self.changed(page, &names, wait).await {
                Some(newer) => page = newer,
                None => return said(StatusCode::NOT_FOUND, is_head),
            }
        }
        let mut response = if is_same(&page) {
            empty(StatusCode::NOT_MODIFIED)
        } else {
            let modified = LastModified::from(page.found.modified);
            let is_part = headers
                .typed_get::<IfRange>()
                .is_none_or(|range| !range.is_modified(Some(&page.etag), Some(&modified)));
            let range: Option<Range> = headers.typed_get().filter(|_| is_part && !is_head);
            content(&names, &page, range.as_ref())
        };
        describe(&mut response, &names, &page);
        if waits.is_some() {
            response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("wait"));
        }
        if !is_head && let Some(part) = response.extensions().get::<Part>().copied() {
            let (sender, body) = Channel::new(PIECES_MAX);
            *response.body_mut() = body;
            // Threads that wait for a disk are none that others wait for.
            tokio::task::spawn_blocking(move || send(page.found, part, sender));
        }
        response
    }

    /// A file with its hash.
    async fn page(&self, names: &[String]) -> Option<Page> {
        let (site, names) = (Arc::clone(&self.site), names.to_vec());
        let page = tokio::task::spawn_blocking(move || {
            let mut found = site.find(&names)?;
            let hash = site.hash(&mut found)?;
            let etag = format!("\"{hash}\"").parse().ok()?;
            Some(Page { found, hash, etag })
        });
        page.await.ok().flatten()
    }

    /// The file when it has other bytes, or this one when the time is over, or the server.
    async fn changed(&self, page: Page, names: &[String], wait: Duration) -> Option<Page> {
        let end = Instant::now() + wait;
        let mut ended = self.ended.clone();
        let mut last = page;
        loop {
            let pause = LOOK.min(end.saturating_duration_since(Instant::now()));
            tokio::select! {
                _ = ended.wait_for(|ended| *ended) => return Some(last),
                () = sleep(pause) => {}
            }
            // While a publisher replaces it, there is always one.
            if last.found.differs(self.site.find(names).as_ref()) {
                let newer = self.page(names).await?;
                if newer.hash != last.hash {
                    return Some(newer);
                }
                last = newer;
            }
            if Instant::now() >= end {
                return Some(last);
            }
        }
    }
}

/// The names that a path is made of, if anybody may have what they lead to.
fn names(path: &str) -> Option<Vec<String>> {
    let names = path.strip_prefix('/')?.split('/').map(|name| {
        let name = percent_encoding::percent_decode_str(name).decode_utf8().ok()?;
        let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
        is_plain.then(|| name.into_owned())
    });
    names.collect()
}

/// For how long a client wants to wait: `wait=30` in RFC 7240.
fn wait(value: &HeaderValue) -> Option<Duration> {
    let preferences = value.to_str().ok()?.split([',', ';']);
    let mut waits = preferences.filter_map(|text| text.trim().strip_prefix("wait="));
    let seconds: u64 = waits.next()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(WAIT_MAX))
}

/// The file, or a part of it, still without its bytes.
fn content(names: &[String], page: &Page, range: Option<&Range>) -> Response<Body> {
    let all = page.found.bytes;
    let Ok(asked) = part(range, all) else {
        let mut response = empty(StatusCode::RANGE_NOT_SATISFIABLE);
        response.headers_mut().typed_insert(ContentRange::unsatisfied_bytes(all));
        return response;
    };
    let given = asked.unwrap_or(Part { start: 0, bytes: all });
    let status = if asked.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = empty(status);
    response.extensions_mut().insert(given);
    let headers = response.headers_mut();
    if asked.is_some()
        && let Ok(range) = ContentRange::bytes(given.start..given.start + given.bytes, all)
    {
        headers.typed_insert(range);
    }
    headers.typed_insert(AcceptRanges::bytes());
    headers.insert(CONTENT_LENGTH, given.bytes.into());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind(names)));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// By what it is known again, which is part of every answer about a file.
fn describe(response: &mut Response<Body>, names: &[String], page: &Page) {
    let is_by_hash = names.last().is_some_and(|name| *name == page.hash.to_string());
    let kept = if is_by_hash { FOR_EVER } else { ASK_AGAIN };
    let headers = response.headers_mut();
    headers.typed_insert(page.etag.clone());
    headers.typed_insert(LastModified::from(page.found.modified));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
}

/// What kind of file it is, by its name.
fn kind(names: &[String]) -> &'static str {
    let name = names.last().map_or("", String::as_str);
    if name == MANIFEST_NAME {
        return "text/plain; charset=utf-8";
    }
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "txt" | "md" | "rs" | "toml" | "pub" => "text/plain; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}

/// A status in words.
fn said(status: StatusCode, is_head: bool) -> Response<Body> {
    let text = format!("{status}\n");
    let mut response = empty(status);
    response.headers_mut().insert(CONTENT_LENGTH, text.len().into());
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if !is_head {
        let (mut sender, body) = Channel::new(1);
        let _there_is_room = sender.try_send(hyper::body::Frame::data(text.into()));
        *response.body_mut() = body;
    }
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    // Without a sender it is over at once.
    let (_, body) = Channel::new(1);
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// Reads a part of a file, and gives it to the connection.
fn send(mut found: Found, part: Part, mut to: Sender<Bytes, io::Error>) {
    let sent = send_all(&mut found, part, &mut to);
    if let Err(error) = sent {
        // The connection ends, so that nobody takes it for the whole.
        to.abort(error);
    }
}

fn send_all(found: &mut Found, part: Part, to: &mut Sender<Bytes, io::Error>) -> io::Result<()> {
    found.file.seek(SeekFrom::Start(part.start))?;
    let mut left = part.bytes;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(ContentHash::READ_BYTES);
        let mut buffer = vec![0; piece];
        if found.file.fill(&mut buffer)? < piece {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= piece as u64;
        let sent = timeout(PIECE_TIME_MAX, to.send_data(buffer.into()));
        let sent = Handle::current().block_on(sent)?;
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_nowhere_else() {
        let of = |path: &str| names(path).map(|names| names.join("|"));
        assert_eq!(
            of("/greet/stable/hotswap.manifest").as_deref(),
            Some("greet|stable|hotswap.manifest")
        );
        assert_eq!(of("/a%20b").as_deref(), Some("a b"));
        for nowhere in [
            "",
            "/",
            "//",
            "/a/",
            "/a//b",
            "/..",
            "/a/../b",
            "/%2e%2e/a",
            "/.%2e/a",
            "/a%2fb",
            "/a%00",
            "/.lock",
            "/a/.hidden",
            "/%ff",
            "*",
        ] {
            assert_eq!(of(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn who_waits_says_how_long() {
        let of = |text: &'static str| wait(&HeaderValue::from_static(text));
        assert_eq!(of("wait=30"), Some(Duration::from_secs(30)));
        assert_eq!(of("respond-async, wait=5"), Some(Duration::from_secs(5)));
        assert_eq!(of("wait=99999999"), Some(WAIT_MAX));
        assert_eq!(of("wait=-1"), None);
        assert_eq!(of("minimal"), None);
    }
}
