//! `hotswap serve`: a directory of releases, over HTTP or HTTPS.

mod answer;
mod range;
mod site;

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use self::answer::Server;
use self::site::Site;
use crate::arguments::ServeArguments;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::screen::Screen;

/// How many connections there are at a time; more wait. Each may take a thread and some 100 KB while a file is read.
const CONNECTIONS_MAX: usize = 256;

/// How long a client may take for its handshake, and for each head of a request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// How long answers under way may take when the server is to end.
const END_TIME_MAX: Duration = Duration::from_secs(10);

/// How long the listener waits when the system gives no connection: too many files are open, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is interrupted.
pub(crate) fn serve(
    arguments: &ServeArguments,
    screen: &Arc<Screen>,
    interrupts: &Interrupts,
) -> Result<ExitCode, Failure> {
    let site = Site::open(&arguments.directory)?;
    let tls = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(certificate), Some(key)) => Some(acceptor(certificate, key)?),
        _ => None,
    };
    let log = (!arguments.quiet).then(|| Arc::clone(screen));
    // One thread waits for everybody; files are read by others.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the server")?;
    let (end, ended) = watch::channel(false);
    let interrupted = interrupts.ended().clone();
    std::thread::Builder::new()
        .name("hotswap-interrupts".to_owned())
        .spawn(move || {
            // Nothing is ever sent: it ends with the first signal.
            let _ended = interrupted.recv();
            let _nobody_waits = end.send(true);
        })
        .context("cannot start a thread")?;
    runtime.block_on(async {
        let listener = TcpListener::bind(arguments.listen).await;
        let listener =
            listener.with_context(|| format!("cannot listen at {}", arguments.listen))?;
        let address = listener.local_addr().context("the listener has no address")?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shown = arguments.directory.display();
        screen.print(&format!("serving {shown} at {scheme}://{address}/; Ctrl-C ends"));
        let server = Arc::new(Server::new(site, log, ended.clone()));
        listen(listener, tls, server, ended).await;
        Ok::<_, anyhow::Error>(())
    })?;
    // Whoever still reads a file for a client that is gone is not waited for.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

fn acceptor(certificate: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let cannot = |path: &Path| format!("cannot read {} as PEM", path.display());
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| cannot(certificate))?;
    if chain.is_empty() {
        return Err(anyhow!("there is no certificate in {}", certificate.display()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).with_context(|| cannot(key))?;
    let settings = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .with_context(|| {
            format!("{} and {} do not go together", certificate.display(), key.display())
        })?;
    Ok(TlsAcceptor::from(Arc::new(settings)))
}

async fn listen(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    server: Arc<Server>,
    mut ended: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = async {
            let place = place.await;
            (place, listener.accept().await)
        };
        let (place, stream) = tokio::select! {
            _ = ended.wait_for(|ended| *ended) => break,
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => (place, stream),
                Err(_) => {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let (tls, server, watcher) = (tls.clone(), Arc::clone(&server), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            // What goes wrong with one client is nothing to the others, and the client knows.
            let _gone = converse(stream, tls, server, watcher).await;
        });
    }
    drop(listener);
    let _late = timeout(END_TIME_MAX, graceful.shutdown()).await;
}

/// All requests of one connection.
async fn converse(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    server: Arc<Server>,
    watcher: Watcher,
) -> io::Result<()> {
    let answer = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(&request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX);
    let served = match tls {
        None => watcher.watch(http.serve_connection(TokioIo::new(stream), answer)).await,
        Some(tls) => {
            let stream = timeout(HEAD_TIME_MAX, tls.accept(stream)).await??;
            watcher.watch(http.serve_connection(TokioIo::new(stream), answer)).await
        }
    };
    served.map_err(io::Error::other)
}
