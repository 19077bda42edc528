//! Apache Kafka: one node that is broker and controller (KRaft).

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::process::{Process, ServerError, doing, folder, free_port, java, listens};

/// Who may connect to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// Everybody.
    #[default]
    Open,
    /// Clients with a password (SASL/PLAIN): `alice` and `alice-secret`, over TLS with the certificate `ca.pem` of the
    /// broker's folder.
    SaslSsl,
}

/// A broker.
#[derive(Debug)]
pub struct Kafka {
    folder: PathBuf,
    /// The folder, if it is removed with the broker.
    temporary: Option<tempfile::TempDir>,
    port: u16,
    process: Option<Process>,
}

/// The cluster's id: any 16 bytes in base64.
const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";

impl Kafka {
    /// Starts a broker on a free port, with its data in a temporary folder.
    ///
    /// # Errors
    /// If Kafka was not fetched, or does not start.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_with(Security::Open, &[])
    }

    /// Starts a broker likewise, with these lines added to its configuration.
    ///
    /// # Errors
    /// If Kafka was not fetched, or does not start.
    pub fn start_with(security: Security, more: &[&str]) -> Result<Self, ServerError> {
        let temporary = tempfile::tempdir().map_err(doing("making a folder"))?;
        let path = temporary.path().to_owned();
        let mut broker = Self::prepare(&path, free_port()?, security, more)?;
        broker.temporary = Some(temporary);
        broker.resume()?;
        Ok(broker)
    }

    /// Starts a broker on this port, with its data in this folder, which stays.
    ///
    /// # Errors
    /// If Kafka was not fetched, or does not start.
    pub fn start_at(folder: &Path, port: u16) -> Result<Self, ServerError> {
        let mut broker = Self::prepare(folder, port, Security::Open, &[])?;
        broker.resume()?;
        Ok(broker)
    }

    /// Starts a cluster of brokers, each with a replica of everything. One of three may fail.
    ///
    /// # Errors
    /// If Kafka was not fetched, or does not start.
    pub fn start_cluster(brokers: usize) -> Result<Vec<Self>, ServerError> {
        let controllers = (0..brokers).map(|_| free_port()).collect::<Result<Vec<_>, _>>()?;
        let copies = [
            format!("default.replication.factor={brokers}"),
            format!("offsets.topic.replication.factor={brokers}"),
            format!("transaction.state.log.replication.factor={brokers}"),
            format!("min.insync.replicas={}", brokers.div_ceil(2)),
            // A killed broker is detected soon.
            "broker.session.timeout.ms=3000".to_owned(),
            "broker.heartbeat.interval.ms=500".to_owned(),
        ];
        let copies: Vec<&str> = copies.iter().map(String::as_str).collect();
        let mut all = Vec::new();
        for number in 0..brokers {
            let temporary = tempfile::tempdir().map_err(doing("making a folder"))?;
            let path = temporary.path().to_owned();
            let node = Node { number, controllers: &controllers };
            let mut broker = Self::prepare_node(&path, free_port()?, Security::Open, &copies, node)?;
            broker.temporary = Some(temporary);
            all.push(broker);
        }
        // All start before any is waited for: they need a quorum.
        for broker in &mut all {
            broker.start_process()?;
        }
        for broker in &mut all {
            broker.wait_until_it_listens()?;
        }
        Ok(all)
    }

    fn prepare(folder: &Path, port: u16, security: Security, more: &[&str]) -> Result<Self, ServerError> {
        let node = Node { number: 0, controllers: &[free_port()?] };
        Self::prepare_node(folder, port, security, more, node)
    }

    fn prepare_node(
        folder: &Path,
        port: u16,
        security: Security,
        more: &[&str],
        node: Node<'_>,
    ) -> Result<Self, ServerError> {
        std::fs::create_dir_all(folder).map_err(doing(format!("making {}", folder.display())))?;
        let controller = node.controllers[node.number];
        let voters: Vec<String> = node
            .controllers
            .iter()
            .enumerate()
            .map(|(i, port)| format!("{}@127.0.0.1:{port}", i + 1))
            .collect();
        let data = folder.join("data");
        let mut config = String::new();
        let listener = if security == Security::Open { "PLAINTEXT" } else { "SASL_SSL" };
        for line in [
            "process.roles=broker,controller".to_owned(),
            format!("node.id={}", node.number + 1),
            format!("controller.quorum.voters={}", voters.join(",")),
            format!("listeners={listener}://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"),
            format!("advertised.listeners={listener}://127.0.0.1:{port}"),
            format!("inter.broker.listener.name={listener}"),
            "controller.listener.names=CONTROLLER".to_owned(),
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL"
                .to_owned(),
            format!("log.dirs={}", data.display()),
            "offsets.topic.replication.factor=1".to_owned(),
            "offsets.topic.num.partitions=8".to_owned(),
            "transaction.state.log.replication.factor=1".to_owned(),
            "transaction.state.log.min.isr=1".to_owned(),
            "transaction.state.log.num.partitions=8".to_owned(),
            "share.coordinator.state.topic.replication.factor=1".to_owned(),
            "share.coordinator.state.topic.min.isr=1".to_owned(),
            "group.initial.rebalance.delay.ms=0".to_owned(),
            "auto.create.topics.enable=false".to_owned(),
            // Six weeks: some topics are kept for a month.
            "offsets.retention.minutes=60480".to_owned(),
        ] {
            // Writing to a String can't fail.
            let _ = writeln!(config, "{line}");
        }
        if security == Security::SaslSsl {
            config.push_str(&secured(folder)?);
        }
        for line in more {
            let _ = writeln!(config, "{line}");
        }
        let path = folder.join("server.properties");
        std::fs::write(&path, config).map_err(doing(format!("writing {}", path.display())))?;
        if !data.join("meta.properties").exists() {
            let formatted =
                run(&["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", &path.to_string_lossy()])?;
            if !formatted.status.success() {
                let log = String::from_utf8_lossy(&formatted.stderr).into_owned();
                return Err(ServerError::Down { what: "Kafka", log });
            }
        }
        Ok(Self { folder: folder.to_owned(), temporary: None, port, process: None })
    }

    /// Returns its address, for `bootstrap.servers`.
    #[must_use]
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the folder with its configuration and data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills the broker, as `kill -9` does. What it acknowledged is still there after [`Kafka::resume`].
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, on the same port with the same data.
    ///
    /// # Errors
    /// If it does not start.
    pub fn resume(&mut self) -> Result<(), ServerError> {
        self.start_process()?;
        self.wait_until_it_listens()
    }

    fn start_process(&mut self) -> Result<(), ServerError> {
        let mut command = java();
        command.arg("-cp").arg(class_path()?);
        command.arg(format!("-Dlog4j2.configurationFile={}", log_config(&self.folder)?.display()));
        command.arg("kafka.Kafka").arg(self.folder.join("server.properties"));
        self.process = Some(Process::start("Kafka", &mut command, self.folder.join("kafka.log"))?);
        Ok(())
    }

    fn wait_until_it_listens(&mut self) -> Result<(), ServerError> {
        let port = self.port;
        self.process.as_mut().map_or(Ok(()), |process| process.wait_until(|| listens(port)))
    }
}

/// One broker of a cluster.
#[derive(Clone, Copy)]
struct Node<'a> {
    number: usize,
    controllers: &'a [u16],
}

fn log_config(folder: &Path) -> Result<PathBuf, ServerError> {
    let path = folder.join("log4j2.properties");
    let text = "rootLogger.level=WARN\nrootLogger.appenderRef.out.ref=out\nappender.out.type=Console\nappender.out.name=out\n\
                appender.out.layout.type=PatternLayout\nappender.out.layout.pattern=%d %p %m (%c)%n\n";
    std::fs::write(&path, text).map_err(doing(format!("writing {}", path.display())))?;
    Ok(path)
}

fn class_path() -> Result<String, ServerError> {
    let libraries = folder().join("kafka");
    if !libraries.is_dir() {
        return Err(ServerError::NotFetched(libraries));
    }
    Ok(format!("{}/*", libraries.display()))
}

fn run(arguments: &[&str]) -> Result<Output, ServerError> {
    java().arg("-cp").arg(class_path()?).args(arguments).output().map_err(doing("starting java"))
}

/// Runs one of Kafka's own tools, by its class, such as `org.apache.kafka.tools.consumer.group.ConsumerGroupCommand`, and returns its
/// output.
///
/// # Errors
/// If Kafka was not fetched, or the tool failed.
pub fn tool(class: &str, arguments: &[&str]) -> Result<String, ServerError> {
    let output = run(&[&[class], arguments].concat())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let log = format!("{said}\n{}", String::from_utf8_lossy(&output.stderr));
    Err(ServerError::Down { what: "a tool of Kafka", log })
}

/// Creates a self-signed certificate and one user, and returns the lines of configuration for them.
fn secured(folder: &Path) -> Result<String, ServerError> {
    let store = folder.join("broker.p12");
    let key = |arguments: &[&str]| -> Result<(), ServerError> {
        let done = Command::new("keytool").args(arguments).output().map_err(doing("starting keytool"))?;
        if done.status.success() {
            return Ok(());
        }
        Err(ServerError::Down { what: "keytool", log: String::from_utf8_lossy(&done.stdout).into_owned() })
    };
    let path = store.to_string_lossy().into_owned();
    if !store.exists() {
        key(&[
            "-genkeypair",
            "-alias",
            "broker",
            "-keyalg",
            "RSA",
            "-dname",
            "CN=127.0.0.1",
            "-ext",
            "SAN=IP:127.0.0.1",
            "-storetype",
            "PKCS12",
            "-keystore",
            &path,
            "-storepass",
            "changeit",
            "-validity",
            "30",
        ])?;
        let certificate = folder.join("ca.pem").to_string_lossy().into_owned();
        key(&[
            "-exportcert",
            "-rfc",
            "-alias",
            "broker",
            "-keystore",
            &path,
            "-storepass",
            "changeit",
            "-file",
            &certificate,
        ])?;
    }
    let login = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"admin\" \
                 password=\"admin-secret\" user_admin=\"admin-secret\" user_alice=\"alice-secret\";";
    Ok(format!(
        "ssl.keystore.location={path}\nssl.keystore.password=changeit\nssl.key.password=changeit\n\
         ssl.keystore.type=PKCS12\nssl.truststore.location={path}\nssl.truststore.password=changeit\n\
         ssl.truststore.type=PKCS12\nsasl.enabled.mechanisms=PLAIN\nsasl.mechanism.inter.broker.protocol=PLAIN\n\
         listener.name.sasl_ssl.plain.sasl.jaas.config={login}\n"
    ))
}
