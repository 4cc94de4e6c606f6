//! A web server for bundles on a free port. It misbehaves as its files ask for, and records its requests.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::interval;
use tokio_rustls::TlsAcceptor;

use crate::fault_proxy::acceptor;
use crate::pki::Authority;

/// How a file is served.
#[derive(Clone, Debug)]
pub enum Behavior {
    Normal,
    /// Cuts the first answer after so many bytes. A Range resumes it.
    Cut(usize),
    /// Cuts the first answer after so many bytes, and ignores a Range: it sends everything again.
    CutWithoutRange(usize),
    /// Announces so many bytes more than it sends.
    Overstated(usize),
    /// Answers with this status so many times, then serves normally.
    Status(u16, usize),
    Endless,
    BytePerSecond,
    Redirect(String),
}

/// Stops when dropped, with all its connections.
pub struct FileServer {
    address: SocketAddr,
    authority: Option<Authority>,
    files: Files,
    task: JoinHandle<()>,
}

type Files = Arc<Mutex<BTreeMap<String, File>>>;

#[derive(Clone)]
struct File {
    content: Arc<[u8]>,
    behavior: Behavior,
    requests: Vec<Request>,
}

#[derive(Clone)]
struct Request {
    range: Option<String>,
    authorization: Option<String>,
}

impl FileServer {
    pub async fn start() -> Result<Self> {
        Self::listen(Ipv4Addr::LOCALHOST, None).await
    }

    /// Starts a server of https, with a certificate of its own authority.
    pub async fn start_secure(address: Ipv4Addr) -> Result<Self> {
        Self::listen(address, Some(Authority::new()?)).await
    }

    async fn listen(address: Ipv4Addr, authority: Option<Authority>) -> Result<Self> {
        let listener = TcpListener::bind((address, 0)).await.context("bind a free port")?;
        let tls = authority.as_ref().map(|authority| acceptor(authority, address)).transpose()?;
        let (address, files) = (listener.local_addr()?, Files::default());
        let task = tokio::spawn(accept(listener, tls, files.clone()));
        Ok(Self { address, authority, files, task })
    }

    /// Returns the certificate in PEM by which a client trusts this server.
    pub fn ca_certificate(&self) -> Result<String> {
        let authority = self.authority.as_ref().context("this server has no certificate")?;
        Ok(authority.identity().certificate)
    }

    /// Serves `content` at `path` from now on, forgets the requests for it so far, and returns the URL.
    pub fn serve(&self, path: &str, content: &[u8], behavior: Behavior) -> String {
        let file = File { content: content.into(), behavior, requests: Vec::new() };
        lock(&self.files).insert(path.to_owned(), file);
        self.url(path)
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn url(&self, path: &str) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// Returns the Range header of every request for `path` so far.
    pub fn ranges(&self, path: &str) -> Vec<Option<String>> {
        self.requests(path).into_iter().map(|request| request.range).collect()
    }

    /// Returns the Authorization header of every request for `path` so far.
    pub fn authorizations(&self, path: &str) -> Vec<Option<String>> {
        self.requests(path).into_iter().map(|request| request.authorization).collect()
    }

    fn requests(&self, path: &str) -> Vec<Request> {
        lock(&self.files).get(path).map(|file| file.requests.clone()).unwrap_or_default()
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(files: &Files) -> MutexGuard<'_, BTreeMap<String, File>> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, files: Files) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // A client may go away at any time.
        let served = serve_connection(stream, tls.clone(), files.clone());
        connections.spawn(async move { served.await.ok() });
    }
}

async fn serve_connection(stream: TcpStream, tls: Option<TlsAcceptor>, files: Files) -> Result<()> {
    match tls {
        None => serve_request(stream, files).await,
        Some(tls) => serve_request(tls.accept(stream).await?, files).await,
    }
}

/// Answers one request and ends the connection.
async fn serve_request(stream: impl AsyncRead + AsyncWrite + Unpin, files: Files) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let head = read_head(&mut stream).await?;
    let path = head.split(' ').nth(1).context("a request names a path")?;
    let [range, authorization] = ["range", "authorization"].map(|name| header(&head, name));
    let (file, number) = {
        let mut files = lock(&files);
        match files.get_mut(path) {
            None => (None, 0),
            Some(file) => {
                file.requests.push(Request { range: range.clone(), authorization });
                (Some(file.clone()), file.requests.len())
            }
        }
    };
    let stream = stream.get_mut();
    match file {
        None => send_status(stream, 404).await?,
        Some(file) => send(stream, &file, number, range.as_deref()).await?,
    }
    stream.shutdown().await?;
    Ok(())
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head)?)
}

fn header(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    values.next().map(|(_, value)| value.to_owned())
}

/// Sends a file as its behavior asks for. `number` counts the requests for it from one.
async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    file: &File,
    number: usize,
    range: Option<&str>,
) -> Result<()> {
    let content = &*file.content;
    let length = content.len();
    match &file.behavior {
        Behavior::Cut(at) | Behavior::CutWithoutRange(at) if number == 1 => {
            send_whole(stream, length, &content[..*at]).await
        }
        Behavior::CutWithoutRange(_) => send_whole(stream, length, content).await,
        Behavior::Overstated(by) if range.is_none() => {
            send_whole(stream, length + by, content).await
        }
        Behavior::Status(code, times) if number <= *times => send_status(stream, *code).await,
        Behavior::Endless => send_endlessly(stream).await,
        Behavior::BytePerSecond => send_slowly(stream, content).await,
        Behavior::Redirect(to) => send_redirect(stream, to).await,
        Behavior::Normal | Behavior::Cut(_) | Behavior::Overstated(_) | Behavior::Status(..) => {
            send_range(stream, content, range).await
        }
    }
}

async fn send_redirect(stream: &mut (impl AsyncWrite + Unpin), to: &str) -> Result<()> {
    let head = format!(
        "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    Ok(stream.write_all(head.as_bytes()).await?)
}

async fn send_range(
    stream: &mut (impl AsyncWrite + Unpin),
    content: &[u8],
    range: Option<&str>,
) -> Result<()> {
    let Some(range) = range else { return send_whole(stream, content.len(), content).await };
    let from = range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>()?;
    if from >= content.len() {
        return send_status(stream, 416).await;
    }
    let (rest, length) = (&content[from..], content.len());
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {from}-{}/{length}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        length - 1,
        rest.len()
    );
    stream.write_all(head.as_bytes()).await?;
    Ok(stream.write_all(rest).await?)
}

/// Announces `length` bytes and sends `body`.
async fn send_whole(
    stream: &mut (impl AsyncWrite + Unpin),
    length: usize,
    body: &[u8],
) -> Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    Ok(stream.write_all(body).await?)
}

/// Sends a status with a body, as many servers do.
async fn send_status(stream: &mut (impl AsyncWrite + Unpin), code: u16) -> Result<()> {
    let body = format!("<html>{code}</html>");
    let head = format!(
        "HTTP/1.1 {code} \r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    Ok(stream.write_all(head.as_bytes()).await?)
}

async fn send_endlessly(stream: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    loop {
        stream.write_all(&[b'#'; 64 * 1024]).await?;
    }
}

async fn send_slowly(stream: &mut (impl AsyncWrite + Unpin), content: &[u8]) -> Result<()> {
    send_whole(stream, content.len(), b"").await?;
    let mut second = interval(Duration::from_secs(1));
    for byte in content {
        second.tick().await;
        stream.write_all(&[*byte]).await?;
    }
    Ok(())
}
