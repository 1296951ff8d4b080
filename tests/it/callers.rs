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

#[test]
fn emacs() {
    is_sent(
        "emacs",
        r#"emacs --batch -Q -l sendmail --eval "(with-temp-buffer
             (setq sendmail-program \"$SENDMAIL\" send-mail-function 'sendmail-send-it
                   user-mail-address \"me@home.example\" mail-specify-envelope-from t
                   mail-interactive t)
             (insert \"To: a@y.example\nCc: Zoe <c@y.example>\nBcc: b@y.example\nSubject: hi\n\"
                     mail-header-separator \"\ntext\n.\nmore\n\")
             (sendmail-send-it))" "#,
        &["a@y.example", "c@y.example", "b@y.example"],
        &["Subject: hi\n", "\n\ntext\n.\nmore\n"],
    );
}

/// What smartd runs on Debian when a disk is about to fail.
#[test]
fn smartd() {
    is_sent(
        "/etc/smartmontools/run.d/10mail",
        r#"printf 'set sendmail="%s"\n' "$SENDMAIL" >.mailrc; echo 'The disk fails.' >report
           /etc/smartmontools/run.d/10mail report -s 'SMART error' a@y.example"#,
        &["a@y.example"],
        &["Subject: SMART error\n", "\n\nThe disk fails.\n"],
    );
}

/// A daemon of the system, in a namespace of its own that has mailsluice in the place of sendmail and a user more, `sluicer`,
/// whose home it is. `None` where that cannot be.
fn called_by_the_system(needs: &str, home: Home, script: &str) -> Option<Taken> {
    if !rustix::process::geteuid().is_root() || !Path::new(needs).exists() {
        eprintln!("skipped: it needs root and {needs}");
        return None;
    }
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::with_relay("  - {name: none, do: keep}", &server);
    let over = user.sandbox.home().display().to_string();
    let given = match home {
        Home::OfRoot => "",
        Home::OfSluicer => {
            r#"mkdir "$OVER"/root; chmod 700 "$OVER"/root
               chown -R sluicer "$OVER"; chown root "$OVER"/root; chmod 711 "$OVER""#
        }
    };
    let script = format!(
        r#"set -e
        mount --make-rprivate /
        mkdir "$OVER"/over
        for file in passwd shadow; do cp /etc/$file "$OVER"/over/$file; done
        echo "sluicer:x:54321:65534::$OVER:/bin/sh" >>"$OVER"/over/passwd
        echo "sluicer:*:19000:0:99999:7:::" >>"$OVER"/over/shadow
        for file in passwd shadow; do mount --bind "$OVER"/over/$file /etc/$file; done
        [ -e /usr/sbin/sendmail ] || touch /usr/sbin/sendmail
        mount --bind {PROGRAM} "$(readlink -f /usr/sbin/sendmail)"
        {given}
        {script}"#
    );
    let mut daemon = Command::new("unshare")
        .args(["-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", &script])
        .env("OVER", &over)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while server.count() == 0 && begun.elapsed() < Duration::from_secs(150) && daemon.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(200));
    }
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(server.count() > 0, "no mail of {needs} came");
    let taken = server.last();
    assert_eq!(from(&taken), "me@home.example");
    Some(taken)
}

/// Whose the sandbox is.
enum Home {
    OfRoot,
    OfSluicer,
}

/// S-11: cron runs `sendmail` as the user, and with the HOME of root.
#[test]
fn as_root_cron() {
    let script = r#"
        mount -t tmpfs none /var/spool/cron/crontabs
        printf '* * * * * echo the job says this\n' >/var/spool/cron/crontabs/sluicer
        chown sluicer:crontab /var/spool/cron/crontabs/sluicer; chmod 600 /var/spool/cron/crontabs/sluicer
        HOME="$OVER"/root exec cron -f"#;
    let Some(taken) = called_by_the_system("/usr/sbin/cron", Home::OfSluicer, script) else { return };
    let got = text(&taken);
    assert_eq!(taken.to, ["me@home.example"], "{got}");
    assert!(got.contains("\n\nthe job says this\n") && got.contains("To: sluicer <me@home.example>\n"), "{got}");
}

#[test]
fn as_root_at() {
    let script = r#"
        mount -t tmpfs none /var/spool/cron/atjobs; mount -t tmpfs none /var/spool/cron/atspool
        for folder in atjobs atspool; do
            chown daemon:daemon /var/spool/cron/$folder; chmod 1770 /var/spool/cron/$folder
        done
        install -o daemon -g daemon -m 600 /dev/null /var/spool/cron/atjobs/.SEQ
        mount -t tmpfs none /run
        HOME="$OVER"/root atd -f & sleep 1
        cd /; echo 'echo the job says this' | LOGNAME=sluicer setpriv --reuid sluicer --regid nogroup --clear-groups at now
        wait"#;
    let Some(taken) = called_by_the_system("/usr/sbin/atd", Home::OfSluicer, script) else { return };
    let got = text(&taken);
    assert_eq!(taken.to, ["me@home.example"], "{got}");
    assert!(got.contains("\n\nthe job says this\n"), "{got}");
}

#[test]
fn as_root_logwatch() {
    let script = r#"
        mkdir "$OVER"/logs; date '+%b %e %H:%M:%S box CRON[1]: (root) CMD (true)' >"$OVER"/logs/syslog
        HOME="$OVER" logwatch --output mail --mailto a@y.example --range today --service cron --detail high \
            --logdir "$OVER"/logs
        sleep 60"#;
    let Some(taken) = called_by_the_system("/usr/sbin/logwatch", Home::OfRoot, script) else { return };
    let got = text(&taken);
    assert_eq!(taken.to, ["a@y.example"], "{got}");
    assert!(got.contains("\nSubject: Logwatch for ") && got.contains("Logwatch End"), "{got}");
}
