//! A web server for bundles that behaves as badly as it is told, on a free port, and remembers what it was asked for.

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
pub enum Manner {
    Well,
    /// The first answer is cut after so many bytes; a Range resumes it.
    Cut(usize),
    /// The same, but a Range is not understood: everything comes again.
    CutWithoutRange(usize),
    /// Says it is so much longer than it is, and ends.
    Overstated(usize),
    /// Answers with this status so many times, then serves well.
    Status(u16, usize),
    Endless,
    ByteASecond,
    Redirect(String),
}

/// Gone when dropped, with all its connections.
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
    manner: Manner,
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

    /// Over https, with a certificate of its own authority.
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

    /// In PEM: who believes it believes this server.
    pub fn authority(&self) -> Result<String> {
        let authority = self.authority.as_ref().context("this server has no certificate")?;
        Ok(authority.identity().certificate)
    }

    /// Serves `content` at `path` from now on, and forgets the requests for it so far; returns the URL.
    pub fn serve(&self, path: &str, content: &[u8], manner: Manner) -> String {
        let file = File { content: content.into(), manner, requests: Vec::new() };
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

    /// The Range header of every request for `path` so far.
    pub fn ranges(&self, path: &str) -> Vec<Option<String>> {
        self.requests(path).into_iter().map(|request| request.range).collect()
    }

    /// The Authorization header of every request for `path` so far.
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
        // A client that goes away is no concern of the server's.
        let answered = connected(stream, tls.clone(), files.clone());
        connections.spawn(async move { answered.await.ok() });
    }
}

async fn connected(stream: TcpStream, tls: Option<TlsAcceptor>, files: Files) -> Result<()> {
    match tls {
        None => answer(stream, files).await,
        Some(tls) => answer(tls.accept(stream).await?, files).await,
    }
}

/// One request, one answer, and the connection ends.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, files: Files) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let head = head(&mut stream).await?;
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
        None => status(stream, 404).await?,
        Some(file) => serve(stream, &file, number, range.as_deref()).await?,
    }
    stream.shutdown().await?;
    Ok(())
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Result<String> {
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

/// `number` counts the requests for this file from one.
async fn serve(
    stream: &mut (impl AsyncWrite + Unpin),
    file: &File,
    number: usize,
    range: Option<&str>,
) -> Result<()> {
    let content = &*file.content;
    let length = content.len();
    match &file.manner {
        Manner::Cut(at) | Manner::CutWithoutRange(at) if number == 1 => {
            whole(stream, length, &content[..*at]).await
        }
        Manner::CutWithoutRange(_) => whole(stream, length, content).await,
        Manner::Overstated(by) if range.is_none() => whole(stream, length + by, content).await,
        Manner::Status(code, times) if number <= *times => status(stream, *code).await,
        Manner::Endless => endless(stream).await,
        Manner::ByteASecond => drip(stream, content).await,
        Manner::Redirect(to) => redirect(stream, to).await,
        Manner::Well | Manner::Cut(_) | Manner::Overstated(_) | Manner::Status(..) => {
            well(stream, content, range).await
        }
    }
}

async fn redirect(stream: &mut (impl AsyncWrite + Unpin), to: &str) -> Result<()> {
    let head = format!(
        "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    Ok(stream.write_all(head.as_bytes()).await?)
}

async fn well(
    stream: &mut (impl AsyncWrite + Unpin),
    content: &[u8],
    range: Option<&str>,
) -> Result<()> {
    let Some(range) = range else { return whole(stream, content.len(), content).await };
    let from = range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>()?;
    if from >= content.len() {
        return status(stream, 416).await;
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

/// `length` is what is said, `body` what is sent.
async fn whole(stream: &mut (impl AsyncWrite + Unpin), length: usize, body: &[u8]) -> Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    Ok(stream.write_all(body).await?)
}

/// With a body, as servers like to send.
async fn status(stream: &mut (impl AsyncWrite + Unpin), code: u16) -> Result<()> {
    let body = format!("<html>{code}</html>");
    let head = format!(
        "HTTP/1.1 {code} \r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    Ok(stream.write_all(head.as_bytes()).await?)
}

async fn endless(stream: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    loop {
        stream.write_all(&[b'#'; 64 * 1024]).await?;
    }
}

async fn drip(stream: &mut (impl AsyncWrite + Unpin), content: &[u8]) -> Result<()> {
    whole(stream, content.len(), b"").await?;
    let mut second = interval(Duration::from_secs(1));
    for byte in content {
        second.tick().await;
        stream.write_all(&[*byte]).await?;
    }
    Ok(())
}
