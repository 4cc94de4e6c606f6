//! A network namespace with three links into this one, each of which can be cut, and relays at their near ends.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Copy, Debug)]
pub enum Link {
    Hub,
    Cluster,
    Bundles,
}

impl Link {
    const ALL: [Link; 3] = [Link::Hub, Link::Cluster, Link::Bundles];

    /// From the range for documentation: no real network is shadowed.
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

/// The namespace and its links are gone when dropped.
pub struct Links {
    /// Names of interfaces have fifteen characters at most.
    number: u32,
}

impl Links {
    pub fn make() -> Result<Self> {
        let links = Self { number: std::process::id() };
        let name = links.name();
        ip(&["netns", "add", &name])?;
        for link in Link::ALL {
            let [near, far] = links.interfaces(link);
            let [here, there] = link.addresses().map(|address| address + "/30");
            ip(&["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &name])?;
            ip(&["address", "add", &here, "dev", &near])?;
            ip(&["link", "set", &near, "up"])?;
            ip(&["-n", &name, "address", "add", &there, "dev", &far])?;
            ip(&["-n", &name, "link", "set", &far, "up"])?;
        }
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
        Ok(links)
    }

    /// Words before a program's own that start it inside.
    pub fn enter(&self) -> [String; 4] {
        ["ip".into(), "netns".into(), "exec".into(), self.name()]
    }

    /// Passes connections to a link's near end on to a server at `url` here.
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

    /// A URL or a kubeconfig for here, as it is for those inside.
    pub fn seen_from_inside(&self, link: Link, text: &str) -> String {
        let moved = text.replace("//127.0.0.1:", &format!("//{}:", link.near()));
        // The certificates are for the loopback address.
        moved.replace("cluster: {server:", "cluster: {tls-server-name: localhost, server:")
    }

    pub fn down(&self, link: Link) -> Result<()> {
        ip(&["link", "set", &self.interfaces(link)[0], "down"])
    }

    pub fn up(&self, link: Link) -> Result<()> {
        ip(&["link", "set", &self.interfaces(link)[0], "up"])
    }

    /// Half-open: what is sent arrives, and nothing comes back.
    pub fn swallow_answers(&self, link: Link) -> Result<()> {
        ip(&["route", "add", "blackhole", &format!("{}/32", link.far())])
    }

    pub fn answer_again(&self, link: Link) -> Result<()> {
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
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", args.join(" "), complaint.trim());
    Ok(())
}
