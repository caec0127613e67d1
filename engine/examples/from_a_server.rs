//! A host that runs what somebody else publishes on a web server, and believes nobody but the key.
//!
//! With an address and a public key, `from_a_server https://example.org/modules#greet RWQf6L..`, it runs that once; without, it is
//! publisher, web server and host in one, and ends by itself.
//! `cargo run -p hotswap-engine --features http,publish --example from_a_server`.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::{env, fs, thread};

use hotswap_engine::Engine;
use hotswap_engine::delivery::{Contents, DirectoryShelf, KeyPair, Release, Trust};
use hotswap_engine::http::HttpSource;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    if let [address, key] = &*env::args().skip(1).collect::<Vec<_>>() {
        let trust = Trust::key(key)?;
        let engine = Engine::open(HttpSource::new(address, trust)?)?;
        let greeting: String = engine.call_with("greet", ("guest",))?;
        println!("{greeting}");
        return Ok(());
    }
    // Everything lies below, and what was compiled stays for the next time.
    fs::create_dir_all("target/from_a_server")?;
    env::set_current_dir("target/from_a_server")?;
    for left in ["site", "published", "trust", "cache", "secret.key", "secret.pub"] {
        let _absent = fs::remove_dir_all(left).or_else(|_| fs::remove_file(left));
    }
    KeyPair::generate(None)?.write(Path::new("secret.key"), Path::new("secret.pub"))?;
    let key = KeyPair::read("secret.key", None)?.public();

    publish("hello")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}#greet", listener.local_addr()?);
    thread::spawn(move || serve(&listener));

    // Apart from what other programs of this user keep.
    let trust = Trust::key(&key)?.remember_in("trust").cache_in("cache");
    let engine = Engine::open(HttpSource::new(&address, trust)?)?;
    let greeting = || engine.call_with::<String>("greet", ("guest",));
    println!("{}", greeting()?);

    publish("good evening")?;
    // It swaps by itself; sync() waits for the verdict.
    println!("{}: {}", engine.sync()?, greeting()?);
    assert_eq!(greeting()?, "good evening, guest");

    // Whoever can write there, and has not the key, changes nothing.
    let manifest = "site/greet/stable/hotswap.manifest";
    let text = fs::read_to_string(manifest)?;
    fs::write(manifest, text.replace("counter 2", "counter 3"))?;
    let refused = engine.sync().expect_err("nobody signed that");
    println!("{refused}");
    let mut cause = refused.source();
    while let Some(error) = cause {
        println!("  caused by: {error}");
        cause = error.source();
    }
    assert_eq!(greeting()?, "good evening, guest");
    Ok(())
}

/// What `hotswap publish greet.rs --to site/ --sign secret.key` does.
fn publish(text: &str) -> Outcome {
    let key = KeyPair::read("secret.key", None)?;
    let source = format!(
        "hotswap_module::module!();\n\n\
         #[hotswap_module::export]\n\
         pub fn greet(whom: &str) -> String {{\n    format!(\"{text}, {{whom}}\")\n}}\n"
    );
    fs::write("greet.rs", source)?;
    let release = Release::new("greet", Contents::file("greet.rs")?).signed_by(key);
    // Apart from what this user publishes in life.
    let release = release.remember_in("published");
    let published = release.publish(&mut DirectoryShelf::new("site"))?;
    println!("greet is at release {}", published.counter);
    Ok(())
}

/// A web server of the plainest kind. `hotswap serve site/` is a better one.
fn serve(listener: &TcpListener) {
    for stream in listener.incoming().map_while(Result::ok) {
        // A client that leaves early is nobody's loss.
        let _left = answer(stream);
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let asked = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = asked.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match fs::read(format!("site{path}")) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}
