//! A mail server that speaks SMTP (RFC 5321) in clear text, keeps what it takes, and refuses, stalls or hangs up
//! when a test says so.

use crate::world::World;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// The longest mail that is taken, bytes.
const MAIL_MAX_BYTES: usize = 1 << 20;

/// A running mail server. It stops when this is dropped.
#[derive(Debug)]
pub struct Smtp {
    office: Arc<Office>,
    server: AbortHandle,
}

/// What its connections share.
#[derive(Debug)]
pub struct Office {
    address: SocketAddr,
    user: String,
    password: String,
    world: World,
    book: Mutex<Book>,
    prints: bool,
}

#[derive(Debug, Default)]
struct Book {
    mails: Vec<Mail>,
    fates: BTreeMap<String, Fate>,
    next: Vec<Trouble>,
}

/// A mail that was taken.
#[derive(Clone, Debug)]
pub struct Mail {
    /// When.
    pub at: DateTime<Utc>,
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Headers and body, as they came.
    pub text: String,
}

impl Mail {
    /// A header's value; those on several lines only as far as the first goes.
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// What follows the headers, as it was encoded.
    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default()
    }
}

/// How a recipient is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// 450: the mailbox is busy.
    Busy,
    /// 550: there is no such mailbox.
    Unknown,
}

/// What goes wrong with a mail as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// 421 instead of a greeting.
    ClosesEarly,
    /// Takes the mail and hangs up before it says so.
    LosesAnswer,
    /// Takes the mail and says nothing.
    Stalls,
    /// 554 after the mail's end.
    RefusesContent,
}

impl Smtp {
    /// Starts one on a free port of this machine. Without these two nobody may send.
    pub async fn start(user: &str, password: &str, world: World) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Self::serve(listener, user, password, world, false)
    }

    /// Starts one on a port of the caller's choice; `prints` shows each mail on the standard output.
    pub fn serve(
        listener: TcpListener,
        user: &str,
        password: &str,
        world: World,
        prints: bool,
    ) -> io::Result<Self> {
        let office = Arc::new(Office {
            address: listener.local_addr()?,
            user: user.to_owned(),
            password: password.to_owned(),
            world,
            book: Mutex::default(),
            prints,
        });
        let server = tokio::spawn(accept(listener, office.clone())).abort_handle();
        Ok(Self { office, server })
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Deref for Smtp {
    type Target = Office;

    fn deref(&self) -> &Office {
        &self.office
    }
}

impl Office {
    /// Where clients are pointed to, with the user and the password.
    pub fn url(&self) -> String {
        format!("smtp://{}:{}@{}", self.user, self.password, self.address)
    }

    /// Every mail that was taken, in order.
    pub fn mails(&self) -> Vec<Mail> {
        self.book().mails.clone()
    }

    /// From now on that recipient is answered so.
    pub fn bind(&self, recipient: impl Into<String>, fate: Fate) {
        self.book().fates.insert(recipient.into(), fate);
    }

    /// From now on that recipient is taken.
    pub fn release(&self, recipient: &str) {
        self.book().fates.remove(recipient);
    }

    /// The next mail gets into this trouble; ordered several times, the following ones, too.
    pub fn trouble(&self, trouble: Trouble) {
        self.book().next.push(trouble);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The trouble of this mail, if it is one of `kinds`.
    fn meets(&self, kinds: &[Trouble]) -> Option<Trouble> {
        let mut book = self.book();
        let first = book.next.first().copied().filter(|trouble| kinds.contains(trouble))?;
        book.next.remove(0);
        Some(first)
    }

    fn take(&self, mail: Mail) {
        if self.prints {
            println!("a mail for {}:\n{}\n", mail.to.join(", "), mail.text);
        }
        self.book().mails.push(mail);
    }
}

async fn accept(listener: TcpListener, office: Arc<Office>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        // A connection that breaks was mistreated, or its caller went away.
        connections.spawn(converse(socket, office.clone()));
        while connections.try_join_next().is_some() {}
    }
}

struct Line {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Line {
    async fn say(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(format!("{text}\r\n").as_bytes()).await
    }

    async fn hear(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        let bytes = self.reader.read_line(&mut line).await?;
        Ok((bytes > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

#[derive(Default)]
struct Session {
    is_known: bool,
    from: Option<String>,
    to: Vec<String>,
}

async fn converse(socket: TcpStream, office: Arc<Office>) -> io::Result<()> {
    let (reader, writer) = socket.into_split();
    let mut line = Line { reader: BufReader::new(reader), writer };
    if office.meets(&[Trouble::ClosesEarly]).is_some() {
        return line.say("421 4.3.2 double.example closes, come back later").await;
    }
    line.say("220 double.example ESMTP").await?;
    let mut session = Session::default();
    while let Some(said) = line.hear().await? {
        let (verb, rest) = said.split_once(' ').unwrap_or((&said, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                line.say("250-double.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN").await?
            }
            "HELO" => line.say("250 double.example").await?,
            "AUTH" => authenticate(&mut line, &office, &mut session, rest).await?,
            "NOOP" => line.say("250 2.0.0 OK").await?,
            "RSET" => {
                session = Session { is_known: session.is_known, ..Session::default() };
                line.say("250 2.0.0 OK").await?;
            }
            "QUIT" => return line.say("221 2.0.0 Bye").await,
            "MAIL" if !session.is_known => line.say("530 5.7.0 Authentication required").await?,
            "MAIL" => {
                session.from = Some(address(rest));
                line.say("250 2.1.0 OK").await?;
            }
            "RCPT" if session.from.is_none() => line.say("503 5.5.1 MAIL first").await?,
            "RCPT" => {
                let to = address(rest);
                let fate = office.book().fates.get(&to).copied();
                match fate {
                    Some(Fate::Busy) => line.say("450 4.2.0 Mailbox busy, try again later").await?,
                    Some(Fate::Unknown) => line.say("550 5.1.1 No such mailbox here").await?,
                    None => {
                        session.to.push(to);
                        line.say("250 2.1.5 OK").await?;
                    }
                }
            }
            "DATA" if session.to.is_empty() => line.say("503 5.5.1 RCPT first").await?,
            "DATA" => {
                if !data(&mut line, &office, &mut session).await? {
                    return Ok(());
                }
            }
            _ => line.say("502 5.5.2 Command not recognized").await?,
        }
    }
    Ok(())
}

/// `FROM:<a@b> BODY=8BITMIME` names `a@b`.
fn address(rest: &str) -> String {
    let after = rest.split_once('<').map(|(_, after)| after).unwrap_or_default();
    after.split('>').next().unwrap_or_default().to_owned()
}

async fn authenticate(line: &mut Line, office: &Office, session: &mut Session, rest: &str) -> io::Result<()> {
    let decoded = |text: &str| STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
    let (user, password) = match mechanism.to_ascii_uppercase().as_str() {
        "PLAIN" => {
            let response = match initial {
                "" => {
                    line.say("334 ").await?;
                    line.hear().await?.unwrap_or_default()
                }
                initial => initial.to_owned(),
            };
            let response = decoded(&response).unwrap_or_default();
            let mut parts = response.split('\0').skip(1).map(str::to_owned);
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        }
        "LOGIN" => {
            line.say("334 VXNlcm5hbWU6").await?;
            let user = line.hear().await?.and_then(|text| decoded(&text)).unwrap_or_default();
            line.say("334 UGFzc3dvcmQ6").await?;
            (user, line.hear().await?.and_then(|text| decoded(&text)).unwrap_or_default())
        }
        _ => return line.say("504 5.5.4 Mechanism not known").await,
    };
    if user != office.user || password != office.password {
        return line.say("535 5.7.8 Username and password not accepted").await;
    }
    session.is_known = true;
    line.say("235 2.7.0 Accepted").await
}

/// Reads a mail and answers; `false` ends the connection.
async fn data(line: &mut Line, office: &Office, session: &mut Session) -> io::Result<bool> {
    line.say("354 End data with <CR><LF>.<CR><LF>").await?;
    let mut text = String::new();
    loop {
        let Some(said) = line.hear().await? else { return Ok(false) };
        if said == "." {
            break;
        }
        text.push_str(said.strip_prefix('.').unwrap_or(&said));
        text.push_str("\r\n");
        if text.len() > MAIL_MAX_BYTES {
            line.say("552 5.3.4 Message too big").await?;
            return Ok(false);
        }
    }
    let (from, to) = (session.from.take().unwrap_or_default(), std::mem::take(&mut session.to));
    let mail = Mail { at: office.world.now(), from, to, text };
    match office.meets(&[Trouble::RefusesContent, Trouble::LosesAnswer, Trouble::Stalls]) {
        Some(Trouble::RefusesContent) => line.say("554 5.7.1 Content refused").await?,
        Some(Trouble::LosesAnswer) => {
            office.take(mail);
            return Ok(false);
        }
        Some(Trouble::Stalls) => {
            office.take(mail);
            std::future::pending::<()>().await;
        }
        Some(Trouble::ClosesEarly) | None => {
            office.take(mail);
            line.say("250 2.0.0 Queued").await?;
        }
    }
    Ok(true)
}
