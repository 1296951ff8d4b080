//! The socket: orders come in, answers go out. Only the owner of the state, and root, may give orders.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::order::{Answer, LOCK, Order, Request, VERSION, address, locks, socket_path};
use super::{Daemon, status};
use crate::error::{Error, Kind, Result};
use crate::pass::{Passed, World};
use crate::state::Lock;

/// How many clients are heard at the same time. The others wait.
const MAX_CONNECTIONS: usize = 32;
/// The longest order, in bytes.
const MAX_ORDER_BYTES: u64 = 64 * 1024;
/// How long an order may take to arrive, and an answer to be read.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after a failed accept, for example if no descriptors are left.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// How often to check that the socket's file is still there.
const SOCKET_CHECK: Duration = Duration::from_secs(5);

/// A socket that is listened to. Its file is removed with it.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    state: PathBuf,
    path: PathBuf,
    /// The holder of this lock uses the state.
    lock: Arc<Lock>,
    /// The device and inode of the file: another file may get its name later.
    id: (u64, u64),
}

impl Socket {
    /// Opens the socket. The caller holds the lock of the only daemon of this state, so an existing socket belongs to a
    /// dead daemon. Any other file belongs to somebody else.
    pub(super) fn open(state: &Path, lock: Arc<Lock>) -> Result<Self> {
        let path = socket_path(state);
        let doing = || format!("opening the socket {}", path.display());
        match std::fs::symlink_metadata(&path) {
            Ok(file) if !file.file_type().is_socket() => {
                return Err(Error::permanent(Kind::Disk, format!("{}: another file is in its place", doing())));
            }
            Ok(_) => std::fs::remove_file(&path).map_err(|e| Error::disk(doing(), e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::disk(doing(), e)),
        }
        let (address, _folder) = address(&path)?;
        let listener = UnixListener::bind(address).map_err(|e| Error::disk(doing(), e))?;
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, private).map_err(|e| Error::disk(doing(), e))?;
        let file = std::fs::symlink_metadata(&path).map_err(|e| Error::disk(doing(), e))?;
        Ok(Self { listener, state: state.to_owned(), path, lock, id: (file.dev(), file.ino()) })
    }

    fn is_there(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.id)
    }

    /// Keeps the file when this is dropped: it is gone, and a file under its name, perhaps with the same inode, is
    /// another one.
    fn leave(mut self) {
        self.id = (0, 0);
    }

    /// Makes the socket again if its file is gone or is another one: somebody cleaned up, or restored a backup. Returns
    /// `None` if it is unchanged.
    fn made_again(&self) -> Result<Option<Self>> {
        if self.is_there() {
            return Ok(None);
        }
        if !self.lock.stands(&locks(&self.state), LOCK) {
            let text = format!("{} is not the folder that this process works with", self.state.display());
            return Err(Error::permanent(Kind::State, text).helped_by("start mailsluice again"));
        }
        Self::open(&self.state, Arc::clone(&self.lock)).map(Some)
    }

    /// Serves orders until the daemon stops.
    pub(super) async fn serve(mut self, daemon: Arc<Daemon>, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (mut look, mut said) = (interval(SOCKET_CHECK), String::new());
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let stream = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => return,
                _ = look.tick() => {
                    let text = match self.made_again() {
                        Ok(None) => {
                            said.clear();
                            continue;
                        }
                        Ok(Some(made_again)) => {
                            std::mem::replace(&mut self, made_again).leave();
                            "the socket for orders was gone and was made again".to_owned()
                        }
                        Err(e) => format!("the socket for orders is gone and cannot be made again: {e}"),
                    };
                    if std::mem::replace(&mut said, text.clone()) != text {
                        daemon.events.tell(Event::Noted(text)).await;
                    }
                    continue;
                }
            };
            let Ok((stream, _)) = stream else {
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            };
            let (daemon, stop) = (Arc::clone(&daemon), stop.clone());
            tokio::spawn(async move {
                let heard = tokio::select! {
                    heard = hear(&daemon, stream, place) => heard,
                    () = stop.cancelled() => Ok(()),
                };
                if let Err(e) = heard {
                    tracing::debug!("an order was not answered: {e}");
                }
            });
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.is_there() {
            std::fs::remove_file(&self.path).ok();
        }
    }
}

/// Whether this user may give orders.
fn may_order(stream: &UnixStream) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == ours || peer.uid() == 0)
}

/// Reads an order and carries it out. `place` is released once the order is read.
async fn hear(daemon: &Daemon, stream: UnixStream, place: OwnedSemaphorePermit) -> std::io::Result<()> {
    let is_allowed = may_order(&stream);
    let (read, write) = stream.into_split();
    let mut to = Answering(write);
    if !is_allowed {
        return to.refuse("only the user whose mail this is may give orders", 77).await;
    }
    let mut from = BufReader::new(read);
    let mut line = String::new();
    let mut bounded = (&mut from).take(MAX_ORDER_BYTES);
    timeout(ORDER_TIMEOUT, bounded.read_line(&mut line)).await??;
    let request = match serde_json::from_str::<Request>(&line) {
        Ok(request) if request.version == VERSION => request,
        Ok(request) => {
            let text = format!("version {} of the orders is unknown; this is {VERSION}", request.version);
            return to.refuse(&text, 64).await;
        }
        Err(e) => return to.refuse(&format!("this is not an order: {e}"), 64).await,
    };
    drop(place);
    // These orders stay connected for long.
    let stays = matches!(request.order, Order::Fetch { .. } | Order::Events);
    let place = if stays { daemon.listeners.try_acquire().map(Some) } else { Ok(None) };
    let Ok(_place) = place else {
        return to.refuse("too many clients are waiting for this mailsluice; try again later", 75).await;
    };
    carry_out(daemon, request.order, from, &mut to).await
}

async fn carry_out(
    daemon: &Daemon,
    order: Order,
    mut from: BufReader<OwnedReadHalf>,
    to: &mut Answering,
) -> std::io::Result<()> {
    match order {
        Order::Status => match daemon.status().await {
            Ok(status) => to.send(&Answer::Status(Box::new(status))).await?,
            Err(e) => return to.fail(&e).await,
        },
        Order::Poll { accounts } => {
            for unknown in daemon.look(&accounts, true, false).await.unknown {
                to.send(&Answer::Unknown(unknown)).await?;
            }
        }
        Order::Fetch { accounts, typed } => fetch(daemon, &accounts, typed, &mut from, to).await?,
        Order::Pause { accounts } => return pause(daemon, accounts, true, to).await,
        Order::Resume { accounts } => return pause(daemon, accounts, false, to).await,
        Order::Reload => match daemon.reload().await {
            Ok(changes) => to.send(&Answer::Reloaded(Box::new(changes))).await?,
            Err(e) => return to.fail(&e).await,
        },
        Order::Events => return events(daemon, from, to).await,
    }
    to.done().await
}

async fn fetch(
    daemon: &Daemon,
    accounts: &[String],
    typed: bool,
    from: &mut BufReader<OwnedReadHalf>,
    to: &mut Answering,
) -> std::io::Result<()> {
    let looking = daemon.look(accounts, typed, true).await;
    for unknown in looking.unknown {
        to.send(&Answer::Unknown(unknown)).await?;
    }
    let mut byte = [0];
    for (name, passed) in looking.passes {
        let passed = tokio::select! {
            passed = passed => passed.unwrap_or_else(|_| ended(name)),
            // The client is gone.
            _ = from.read(&mut byte) => return Ok(()),
        };
        to.send(&Answer::Passed(Box::new(passed))).await?;
    }
    Ok(())
}

/// The result for an account whose worker ended before its pass.
fn ended(account: String) -> Passed {
    let error = Error::transient(
        Kind::Stopped,
        "the running mailsluice did not check the account: it is stopping, or too many orders are waiting",
    );
    let report = crate::pass::Report { errors: vec![error], ..crate::pass::Report::of(&account) };
    Passed { code: 75, ..Passed::from(&report) }
}

async fn pause(daemon: &Daemon, accounts: Vec<String>, pauses: bool, to: &mut Answering) -> std::io::Result<()> {
    match daemon.pause(accounts, pauses).await {
        Ok(()) => to.done().await,
        Err(e) => to.fail(&e).await,
    }
}

/// Sends events until the other side hangs up.
async fn events(daemon: &Daemon, mut from: BufReader<OwnedReadHalf>, to: &mut Answering) -> std::io::Result<()> {
    let mut events = daemon.events.subscribe();
    let mut byte = [0];
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            _ = from.read(&mut byte) => return Ok(()),
        };
        match event {
            Ok((at, event)) => to.send(&Answer::Event(event.to_json(at))).await?,
            Err(RecvError::Lagged(missed)) => to.send(&Answer::Missed(missed)).await?,
            Err(RecvError::Closed) => return to.done().await,
        }
    }
}

/// The passes that an order started.
#[derive(Debug, Default)]
pub(super) struct Looking {
    pub(super) unknown: Vec<String>,
    pub(super) passes: Vec<(String, oneshot::Receiver<Passed>)>,
}

#[derive(Debug)]
struct Answering(OwnedWriteHalf);

impl Answering {
    async fn send(&mut self, answer: &Answer) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        timeout(ORDER_TIMEOUT, self.0.write_all(&line)).await?
    }

    async fn done(&mut self) -> std::io::Result<()> {
        self.send(&Answer::Done(true)).await
    }

    async fn refuse(&mut self, text: &str, code: u8) -> std::io::Result<()> {
        self.send(&Answer::Error { text: text.to_owned(), code }).await
    }

    async fn fail(&mut self, error: &Error) -> std::io::Result<()> {
        self.refuse(&error.to_string(), error.exit_code()).await
    }
}

impl Daemon {
    /// The status of everything.
    async fn status(&self) -> Result<status::Status> {
        let plan = self.plan();
        let world = plan.world.clone();
        let remember = move |world: &World| {
            let accounts: Vec<_> = plan.jobs.iter().map(|job| &*job.account).collect();
            status::remembered(world, &accounts)
        };
        Ok(self.board.add_to(world.off(remember).await?))
    }
}
