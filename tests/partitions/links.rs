//! A network namespace with three links into this one. Each link can be cut and has a relay at its near end.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// A link, named for the server at its near end.
#[derive(Clone, Copy, Debug)]
pub enum Link {
    Hub,
    Cluster,
    Bundles,
}

impl Link {
    const ALL: [Link; 3] = [Link::Hub, Link::Cluster, Link::Bundles];

    /// The addresses are from the range for documentation, so that they shadow no real network.
    fn addresses(self) -> [String; 2] {
        let first = 4 * self as u8;
        [1, 2].map(|host| format!("198.51.100.{}", first + host))
    }

    fn near(self) -> String {
        self.addresses()[0].clone()
    }

    fn far(self) -> String {
        self.addresses()[1].clone()
    }
}

/// A network namespace with its links. Both are deleted on drop.
pub struct Links {
    /// Part of all names. Names of interfaces have at most fifteen characters.
    number: u32,
}

impl Links {
    /// Creates the namespace with all links up. Fails without CAP_NET_ADMIN.
    pub fn create() -> Result<Self> {
        let links = Self { number: std::process::id() };
        let name = links.name();
        ip(&["netns", "add", &name])?;
        for link in Link::ALL {
            let [near, far] = links.interfaces(link);
            let [near_address, far_address] = link.addresses().map(|address| address + "/30");
            ip(&["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &name])?;
            ip(&["address", "add", &near_address, "dev", &near])?;
            ip(&["link", "set", &near, "up"])?;
            ip(&["-n", &name, "address", "add", &far_address, "dev", &far])?;
            ip(&["-n", &name, "link", "set", &far, "up"])?;
        }
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
        Ok(links)
    }

    /// Returns the words that start a program inside, to put before its own.
    pub fn enter(&self) -> [String; 4] {
        ["ip".into(), "netns".into(), "exec".into(), self.name()]
    }

    /// Forwards connections to a link's near end to the server at `url`.
    pub async fn relay(&self, link: Link, url: &str) -> Result<()> {
        let port = port(url)?;
        let listener = TcpListener::bind((link.near(), port)).await.context("listen on a link")?;
        tokio::spawn(async move {
            while let Ok((mut outer, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut inner = TcpStream::connect(("127.0.0.1", port)).await?;
                    copy_bidirectional(&mut outer, &mut inner).await
                });
            }
        });
        Ok(())
    }

    /// Returns a URL or kubeconfig with the address that a server has inside.
    pub fn seen_from_inside(&self, link: Link, text: &str) -> String {
        let text = text.replace("//127.0.0.1:", &format!("//{}:", link.near()));
        // The certificates are for the loopback address.
        text.replace("cluster: {server:", "cluster: {tls-server-name: localhost, server:")
    }

    /// Takes a link down.
    pub fn down(&self, link: Link) -> Result<()> {
        ip(&["link", "set", &self.interfaces(link)[0], "down"])
    }

    /// Takes a link up again.
    pub fn up(&self, link: Link) -> Result<()> {
        ip(&["link", "set", &self.interfaces(link)[0], "up"])
    }

    /// Makes a link half-open: requests arrive, and no response returns.
    pub fn drop_responses(&self, link: Link) -> Result<()> {
        ip(&["route", "add", "blackhole", &format!("{}/32", link.far())])
    }

    /// Ends [`Links::drop_responses`].
    pub fn restore_responses(&self, link: Link) -> Result<()> {
        ip(&["route", "delete", "blackhole", &format!("{}/32", link.far())])
    }

    fn name(&self) -> String {
        format!("addon-{}", self.number)
    }

    fn interfaces(&self, link: Link) -> [String; 2] {
        ["n", "f"].map(|end| format!("ad{}{end}{}", self.number, link as u8))
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for link in Link::ALL {
            ip(&["link", "delete", &self.interfaces(link)[0]]).ok();
        }
        ip(&["netns", "delete", &self.name()]).ok();
    }
}

fn port(url: &str) -> Result<u16> {
    let port = url.rsplit(':').next().context("a URL with a port")?;
    Ok(port.trim_end_matches('/').parse()?)
}

fn ip(args: &[&str]) -> Result<()> {
    let program = ["/usr/sbin/ip", "/sbin/ip"].map(PathBuf::from);
    let program = program.into_iter().find(|path| path.exists()).unwrap_or_else(|| "ip".into());
    let output = Command::new(program).args(args).output().context("run ip (iproute2)")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", args.join(" "), stderr.trim());
    Ok(())
}
