//! Programs that call sendmail, as Debian has them, with mailsluice in its seat.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::outbox::{User, from, text};
use crate::support::smtp_server::{SmtpOptions, SmtpServer, Taken};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mailsluice");

/// A link named `sendmail`, for programs that take a path and no arguments.
fn link(user: &User) -> String {
    let link = user.sandbox.home().join("bin/sendmail");
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
    link.display().to_string()
}

/// Runs a program as a shell would, with the link as `$SENDMAIL`; `None` where the machine lacks it.
fn called(needs: &str, script: &str) -> Option<(SmtpServer, Taken)> {
    let has = |program: &str| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
        found.is_ok_and(|status| status.success()) || Path::new(program).exists()
    };
    if !has(needs) {
        eprintln!("skipped: there is no {needs}");
        return None;
    }
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::with_relay("  - {name: none, do: keep}", &server);
    let mut command = Command::new("sh");
    command.args(["-ec", script]).env("HOME", user.sandbox.home()).env("SENDMAIL", link(&user));
    command.env("LC_ALL", "C.UTF-8").env_remove("MAILRC").current_dir(user.sandbox.home()).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{needs}: {output:?}");
    user.until("it is sent", |rows| !rows.is_empty() && rows.iter().all(|row| row["state"] == "sent"));
    let taken = server.last();
    Some((server, taken))
}

fn is_sent(needs: &str, script: &str, to: &[&str], parts: &[&str]) {
    let Some((_server, taken)) = called(needs, script) else { return };
    assert_eq!(from(&taken), "me@home.example", "{needs}");
    assert_eq!(taken.to, to, "{needs}");
    let got = format!("\n{}", text(&taken));
    assert!(parts.iter().all(|part| got.contains(part)), "{needs}: {got}");
    assert!(!got.contains("\nBcc:") && got.contains("\nFrom: ") && got.contains("\nDate: "), "{needs}: {got}");
}

#[test]
fn mutt() {
    is_sent(
        "mutt",
        r#"echo text | mutt -n -F /dev/null -e "set sendmail=\"$SENDMAIL -oem -oi\" copy=no" \
           -s hi -c c@y.example -b b@y.example -- a@y.example"#,
        &["a@y.example", "c@y.example", "b@y.example"],
        &["Subject: hi\n", "To: a@y.example\n", "\n\ntext\n"],
    );
}

#[test]
fn s_nail() {
    is_sent(
        "s-nail",
        r#"printf 'text\n.\nmore\n' | s-nail -:/ -S v15-compat -S "mta=file://$SENDMAIL" -s hi -b b@y.example a@y.example"#,
        &["a@y.example", "b@y.example"],
        &["Subject: hi\n", "\n\ntext\n.\nmore\n"],
    );
}

#[test]
fn bsd_mail() {
    is_sent(
        "bsd-mailx",
        r#"printf 'set sendmail="%s"\n' "$SENDMAIL" >.mailrc; echo text | bsd-mailx -s hi a@y.example"#,
        &["a@y.example"],
        &["Subject: hi\n", "To: a@y.example\n", "\n\ntext\n"],
    );
}

#[test]
fn php() {
    is_sent(
        "php",
        r#"php -n -d "sendmail_path=$SENDMAIL -t -i" -r 'exit(mail("a@y.example", "hi", "text\n", "Cc: www-data") ? 0 : 1);'"#,
        &["a@y.example", "me@home.example"],
        &["Subject: hi\n", "Cc: www-data <me@home.example>\n", "\n\ntext\n"],
    );
}

#[test]
fn git_send_email() {
    is_sent(
        "/usr/lib/git-core/git-send-email",
        r#"printf 'From: Me <me@home.example>\nSubject: [PATCH] x\n\ntext\n---\n' >0001.patch
           GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_COMMITTER_NAME=Me GIT_COMMITTER_EMAIL=me@home.example \
           GIT_AUTHOR_NAME=Me GIT_AUTHOR_EMAIL=me@home.example /usr/lib/git-core/git-send-email --quiet --confirm=never \
           --from='Me <me@home.example>' --smtp-server="$SENDMAIL" --to=a@y.example --cc=c@y.example 0001.patch"#,
        // The author of the patch has a copy.
        &["a@y.example", "c@y.example", "me@home.example"],
        &["Subject: [PATCH] x\n", "\n\ntext\n---\n"],
    );
}

/// S-11: cron runs `sendmail` as the user, and with the HOME of root. A namespace of its own has mailsluice in the place of
/// sendmail, and a user more.
#[test]
fn as_root_cron() {
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/sbin/cron").exists() {
        eprintln!("skipped: cron needs root");
        return;
    }
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::with_relay("  - {name: none, do: keep}", &server);
    let home = user.sandbox.home().display().to_string();
    let script = format!(
        r#"set -e
        mount --make-rprivate /
        mkdir {home}/over
        for file in passwd shadow; do cp /etc/$file {home}/over/$file; done
        echo "sluicer:x:54321:65534::{home}:/bin/sh" >>{home}/over/passwd
        echo "sluicer:*:19000:0:99999:7:::" >>{home}/over/shadow
        for file in passwd shadow; do mount --bind {home}/over/$file /etc/$file; done
        [ -e /usr/sbin/sendmail ] || touch /usr/sbin/sendmail
        mount --bind {PROGRAM} "$(readlink -f /usr/sbin/sendmail)"
        mount -t tmpfs none /var/spool/cron/crontabs
        printf '* * * * * echo the job says this\n' >/var/spool/cron/crontabs/sluicer
        mkdir {home}/root; chmod 700 {home}/root
        chown -R sluicer {home}; chown root {home}/root; chmod 711 {home}
        chown sluicer:crontab /var/spool/cron/crontabs/sluicer; chmod 600 /var/spool/cron/crontabs/sluicer
        HOME={home}/root exec cron -f"#
    );
    let mut cron = Command::new("unshare")
        .args(["-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", &script])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while server.count() == 0 && begun.elapsed() < Duration::from_secs(150) && cron.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(200));
    }
    cron.kill().unwrap();
    cron.wait().unwrap();
    assert!(server.count() > 0, "no mail of cron came");
    let taken = server.last();
    assert_eq!((from(&taken), &taken.to[..]), ("me@home.example", &["me@home.example".to_owned()][..]));
    let got = text(&taken);
    assert!(got.contains("\n\nthe job says this\n") && got.contains("To: sluicer <me@home.example>\n"), "{got}");
}
