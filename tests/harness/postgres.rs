//! A PostgreSQL server of one test's own: Debian's programs, a copied template, a port that was free, a role and as many
//! databases as are asked for. It ends, and its folder goes, with its guard, and also when the test process is killed.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::certificates;

/// The role that owns the databases; no superuser. The client's certificate has its name.
pub(crate) const ROLE: &str = "tidegate";
/// A free port is only probably free a moment later: another process may have been given it.
const TRIES: usize = 5;
/// Short sleeps until something has happened: a minute, on a machine that is busy with other tests.
const PATIENCE: usize = 6_000;
const MOMENT: Duration = Duration::from_millis(10);

/// Reads process ids, line by line; at the end of its input it ends the last one and removes the folder. So whatever
/// becomes of the test, nothing of the server stays.
const WATCH: &str = r#"pid=
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
    kill -QUIT "$pid"; kill -CONT "$pid"
    n=0; while kill -0 "$pid" && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.1; done
fi 2>/dev/null
rm -rf "$1""#;

/// How a server is to be; [`Postgres::builder`].
pub(crate) struct Builder {
    durable: bool,
    tls: bool,
    hba: Vec<String>,
    settings: Vec<String>,
    env: Vec<(String, String)>,
    /// The socket's folder and the port of the one that it stands by.
    primary: Option<(PathBuf, u16)>,
}

impl Builder {
    /// A copy of `primary` that follows it, until [`Postgres::promote`].
    pub(crate) fn standby_of(mut self, primary: &Postgres) -> Self {
        self.primary = Some((primary.file("s"), primary.port));
        self
    }

    /// A variable of the server's environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Syncs what it commits, as a real one does. Otherwise it keeps its promises only while the machine runs.
    pub(crate) fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// TLS with a certificate of its own authority; over TCP nothing else is let in. Files: `ca.crt`, `client.crt`,
    /// `client.key` ([`Postgres::file`]).
    pub(crate) fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// A line of `pg_hba.conf` before those that trust everybody on this machine.
    pub(crate) fn hba(mut self, line: &str) -> Self {
        self.hba.push(line.to_owned());
        self
    }

    /// A line of `postgresql.conf`.
    pub(crate) fn setting(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// Starts it and waits until it takes connections.
    pub(crate) fn start(self) -> Postgres {
        let user = User::of_server();
        let folder = tempfile::Builder::new().prefix("tidegate-pg-").tempdir().unwrap().keep();
        let watch = watch(&folder);
        let (env, databases) = (self.env.clone(), AtomicU32::new(0));
        let mut server = Postgres { user, folder, port: 0, process: None, watch, databases, env };
        let laid_out = server.lay_out(&self);
        laid_out.unwrap_or_else(|error| panic!("PostgreSQL's folder could not be made: {error}"));
        for _ in 0..TRIES {
            server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if server.try_start() {
                if self.primary.is_none() {
                    server.sql("postgres", &format!("CREATE ROLE {ROLE} LOGIN"));
                }
                return server;
            }
            assert!(server.log().contains("could not bind"), "PostgreSQL did not start:\n{}", server.log());
        }
        panic!("no port was free:\n{}", server.log());
    }
}

/// A server. Dropping it ends it at once and removes its folder.
pub(crate) struct Postgres {
    user: User,
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
    watch: Child,
    databases: AtomicU32,
    env: Vec<(String, String)>,
}

impl Postgres {
    /// Quick to commit, not durable.
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    pub(crate) fn builder() -> Builder {
        Builder {
            durable: false,
            tls: false,
            hba: Vec::new(),
            settings: Vec::new(),
            env: Vec::new(),
            primary: None,
        }
    }

    /// On loopback, or `{folder}/s` for its Unix socket.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// One of its files: `ca.crt` and the like, or a place for a file of the test's.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes an empty database that belongs to [`ROLE`].
    pub(crate) fn database(&self) -> String {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {ROLE}"));
        name
    }

    /// Where a broker finds a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs statements as the superuser; what they say, rows as lines, columns with `|` between them.
    pub(crate) fn sql(&self, database: &str, text: &str) -> String {
        let mut command = Command::new(program("psql"));
        command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-c", text]);
        command.arg("-h").arg(self.folder.join("s")).arg("-p").arg(self.port.to_string());
        let done = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).trim_end().to_owned();
        assert!(done.status.success(), "{text}: {said}{}", String::from_utf8_lossy(&done.stderr));
        said
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        assert_eq!(self.sql("postgres", "SELECT pg_promote(true, 60)"), "t");
    }

    /// Has it ended by itself? Then it can be started again.
    pub(crate) fn has_ended(&mut self) -> bool {
        let ended = self.process.as_mut().is_none_or(|process| process.try_wait().unwrap().is_some());
        if ended && self.process.take().is_some() {
            self.tell_watch("");
        }
        ended
    }

    /// Ends it well: open connections are told, nothing is lost.
    pub(crate) fn stop(&mut self) {
        signal("INT", &[self.pid()]);
        self.await_end();
    }

    /// `kill -9` of every process of it.
    pub(crate) fn kill_9(&mut self) {
        let all = self.processes();
        // The id of the one segment of shared memory that outlives its processes: the seventh line, second word.
        let segment = self.status_line(6).and_then(|line| line.split_whitespace().nth(1).map(str::to_owned));
        signal("KILL", &all);
        self.await_end();
        // Its children are no children of ours.
        await_until(|| all.iter().all(|pid| is_gone(*pid)));
        if let Some(segment) = segment {
            let _ = Command::new("ipcrm").args(["-m", &segment]).stderr(Stdio::null()).status();
        }
    }

    /// SIGSTOP to every process of it: connections stay open and nobody answers.
    pub(crate) fn pause(&self) {
        signal("STOP", &self.processes());
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        signal("CONT", &self.processes());
    }

    /// After [`stop`](Self::stop) or [`kill_9`](Self::kill_9): the same data, the same port.
    pub(crate) fn start_again(&mut self) {
        assert!(self.process.is_none(), "PostgreSQL runs");
        assert!(self.try_start(), "PostgreSQL did not start again:\n{}", self.log());
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn pid(&self) -> u32 {
        self.process.as_ref().expect("PostgreSQL is stopped").id()
    }

    /// The postmaster and its children.
    fn processes(&self) -> Vec<u32> {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        std::iter::once(pid).chain(children).collect()
    }

    fn status_line(&self, number: usize) -> Option<String> {
        let status = fs::read_to_string(self.folder.join("data/postmaster.pid")).ok()?;
        status.lines().nth(number).map(|line| line.trim().to_owned())
    }

    fn lay_out(&self, asked: &Builder) -> std::io::Result<()> {
        let data = self.folder.join("data");
        let mut settings = asked.settings.clone();
        match &asked.primary {
            None => copy_template(&self.user, &data)?,
            Some((socket, port)) => {
                self.copy_running(socket, *port, &data)?;
                let at = format!("host={} port={port} user=postgres", socket.display());
                settings.push(format!("primary_conninfo = '{at} application_name=standby'"));
            }
        }
        fs::create_dir(self.folder.join("s"))?;
        let mut hba = asked.hba.clone();
        hba.push("local all all trust".to_owned());
        if asked.tls {
            for (name, content) in certificates::of_one_authority() {
                fs::write(self.folder.join(&name), content)?;
                fs::set_permissions(self.folder.join(name), fs::Permissions::from_mode(0o600))?;
            }
            let file = |name: &str| self.folder.join(name).display().to_string();
            settings.push("ssl = on".to_owned());
            settings.push(format!("ssl_cert_file = '{}'", file("tls.crt")));
            settings.push(format!("ssl_key_file = '{}'", file("tls.key")));
            settings.push(format!("ssl_ca_file = '{}'", file("ca.crt")));
            hba.push("hostssl all all 127.0.0.1/32 trust".to_owned());
        } else {
            hba.push("host all all 127.0.0.1/32 trust".to_owned());
        }
        hba.push("local replication all trust".to_owned());
        hba.push("host replication all 127.0.0.1/32 trust".to_owned());
        let fixed = format!(
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nshared_buffers = '16MB'\n\
             dynamic_shared_memory_type = mmap\nfsync = {}\nlog_min_messages = warning\n",
            self.folder.join("s").display(),
            if asked.durable { "on" } else { "off" }
        );
        fs::write(data.join("postgresql.auto.conf"), fixed + &settings.join("\n") + "\n")?;
        fs::write(data.join("pg_hba.conf"), hba.join("\n") + "\n")?;
        self.user.own(&self.folder)
    }

    fn copy_running(&self, socket: &Path, port: u16, to: &Path) -> std::io::Result<()> {
        self.user.own(&self.folder)?;
        let mut command = self.user.command(&program("pg_basebackup"));
        command.args(["-U", "postgres", "-X", "stream", "-c", "fast", "--no-sync", "-D"]).arg(to);
        command.arg("-h").arg(socket).arg("-p").arg(port.to_string()).current_dir("/");
        let done = command.output()?;
        assert!(done.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&done.stderr));
        fs::write(to.join("standby.signal"), "")
    }

    fn try_start(&mut self) -> bool {
        let _ = fs::remove_file(self.folder.join("data/postmaster.pid"));
        let log = fs::File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let mut command = self.user.command(&program("postgres"));
        command.envs(self.env.iter().cloned());
        command.arg("-D").arg(self.folder.join("data")).arg("-p").arg(self.port.to_string());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).current_dir("/");
        let mut process = command.process_group(0).spawn().unwrap();
        self.tell_watch(&process.id().to_string());
        let mut started = false;
        await_until(|| {
            started =
                self.status_line(7).is_some_and(|status| matches!(status.as_str(), "ready" | "standby"));
            started || process.try_wait().unwrap().is_some()
        });
        if started {
            self.process = Some(process);
        } else {
            self.tell_watch("");
        }
        started
    }

    fn await_end(&mut self) {
        let mut process = self.process.take().unwrap();
        await_until(|| process.try_wait().unwrap().is_some());
        self.tell_watch("");
    }

    fn tell_watch(&mut self, pid: &str) {
        let input = self.watch.stdin.as_mut().unwrap();
        writeln!(input, "{pid}").unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- PostgreSQL wrote:\n{}", self.log());
        }
        if let Some(mut process) = self.process.take() {
            let pid = process.id().to_string();
            // The children of one that is paused are ended by it, in the end by force.
            for name in ["QUIT", "CONT"] {
                let _ = Command::new("kill").args(["-s", name, &pid]).status();
            }
            let _ = process.wait();
        }
        if let Some(mut input) = self.watch.stdin.take() {
            let _ = writeln!(input);
        }
        let _ = self.watch.wait();
    }
}

/// Whom the server runs as: PostgreSQL refuses root.
struct User(Option<(u32, u32)>);

impl User {
    fn of_server() -> Self {
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            return Self(None);
        }
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let ids = |wanted: &str| {
            let line = users.lines().find(|line| line.split(':').next() == Some(wanted))?;
            let mut fields = line.split(':').skip(2).map_while(|field| field.parse().ok());
            Some((fields.next()?, fields.next()?))
        };
        Self(Some(ids("postgres").or_else(|| ids("nobody")).expect("a user who is not root")))
    }

    fn command(&self, program: &Path) -> Command {
        let Some((user, group)) = self.0 else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
        command.arg("--").arg(program);
        command
    }

    /// Gives it `path` and what is in there.
    fn own(&self, path: &Path) -> std::io::Result<()> {
        let Some((user, group)) = self.0 else { return Ok(()) };
        if path.is_dir() {
            for entry in fs::read_dir(path)? {
                self.own(&entry?.path())?;
            }
        }
        chown(path, Some(user), Some(group))
    }
}

/// The newest PostgreSQL of this machine.
pub(crate) fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|entry| entry.path()).max_by_key(number);
    let program = newest.expect("PostgreSQL is missing: run scripts/setup").join("bin").join(name);
    assert!(program.exists(), "`{}` is missing: run scripts/setup", program.display());
    program
}

/// What `initdb` makes, made once for a build folder: copying is many times cheaper.
fn copy_template(user: &User, to: &Path) -> std::io::Result<()> {
    let build = std::env::current_exe()?.ancestors().nth(3).expect("target/debug/deps/test").to_owned();
    let version = program("initdb").ancestors().nth(2).unwrap().file_name().unwrap().to_owned();
    let template = build.join("tmp").join(format!("postgres-{}", version.to_string_lossy()));
    fs::create_dir_all(build.join("tmp"))?;
    let lock = fs::File::create(build.join("tmp/postgres.lock"))?;
    lock.lock()?;
    if !template.exists() {
        // Not in its place: the server's user may not be let in there.
        let folder = tempfile::tempdir()?;
        user.own(folder.path())?;
        let mut command = user.command(&program("initdb"));
        command.args(["--no-sync", "--no-locale", "--encoding=UTF8", "--wal-segsize=1", "-A", "trust"]);
        command.args(["-U", "postgres", "-D"]).arg(folder.path().join("data")).current_dir("/");
        let done = command.output()?;
        assert!(done.status.success(), "initdb: {}", String::from_utf8_lossy(&done.stderr));
        let unfinished = build.join("tmp/postgres-unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        copy(&folder.path().join("data"), &unfinished)?;
        fs::rename(unfinished, &template)?;
    }
    lock.unlock()?;
    copy(&template, to)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn watch(folder: &Path) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", WATCH, "watch"]).arg(folder).current_dir("/").process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn signal(name: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    // One of them may have ended meanwhile.
    let _ = Command::new("kill").arg("-s").arg(name).args(pids).stderr(Stdio::null()).status();
}

fn is_gone(pid: u32) -> bool {
    // A dead one that nobody has asked about yet is a zombie: its command line is empty.
    fs::read(format!("/proc/{pid}/cmdline")).map_or(true, |line| line.is_empty())
}

fn await_until(mut happened: impl FnMut() -> bool) {
    for _ in 0..PATIENCE {
        if happened() {
            return;
        }
        std::thread::sleep(MOMENT);
    }
    panic!("nothing happened for a minute");
}
