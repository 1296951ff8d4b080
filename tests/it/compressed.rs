//! COMPRESS=DEFLATE: a line that leaves this machine is compressed where the server can, and no other.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::stage::Account;
use crate::support::dovecot::Dovecot;

/// The address that this machine has beside the one that nobody else can reach. Nothing is sent to find it.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// A line to a server on this machine. Counts the bytes that come from there.
fn line_at(at: IpAddr, server: u16) -> (u16, Arc<AtomicU64>) {
    let socket = TcpListener::bind((at, 0)).unwrap();
    let (port, count) = (socket.local_addr().unwrap().port(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for client in socket.incoming().map_while(Result::ok) {
            let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).unwrap();
            let (mut up, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                std::io::copy(&mut up, &mut to_server).ok();
                to_server.shutdown(Shutdown::Write).ok();
            });
            let (mut server, mut client, counted) = (server, client, Arc::clone(&counted));
            std::thread::spawn(move || {
                let mut buffer = [0; 16 * 1024];
                while let Ok(read @ 1..) = server.read(&mut buffer) {
                    counted.fetch_add(read as u64, Ordering::SeqCst);
                    if client.write_all(&buffer[..read]).is_err() {
                        return;
                    }
                }
                client.shutdown(Shutdown::Both).ok();
            });
        }
    });
    (port, count)
}

/// Mail that a compressor likes, and some that it does not.
fn mail(number: usize) -> String {
    let text = format!("This is line {number} of a long mail, which says the same again and again.\n").repeat(200);
    let noise: String = (0..400).map(|n| format!("{:x}", (n * 7919 + number * 104_729) % 1_000_003)).collect();
    format!("From: a@example.com\nSubject: number {number}\nMessage-ID: <{number}@example.com>\n\n{text}{noise}\n")
}

#[test]
fn mail_comes_compressed_over_the_network_and_as_it_is_within_the_machine() {
    let Some(address) = own_address() else {
        eprintln!("skipped: this machine has no address in a network");
        return;
    };
    let Some(dovecot) = Dovecot::start_compressing() else { return };
    let messages: Vec<String> = (1..=150).map(mail).collect();
    messages.iter().for_each(|message| _ = dovecot.add("me", "INBOX", message));
    let size: u64 = messages.iter().map(|message| message.len() as u64).sum();
    let mut came = Vec::new();
    for at in [address, Ipv4Addr::LOCALHOST.into()] {
        let (port, count) = line_at(at, dovecot.ports.imap);
        let server = format!("imap: {{host: {at}, port: {port}, tls: none, allow_plaintext: true}}");
        let client = Account::on(server).with("password: pass").client();
        assert_eq!(client.fetch_well().new, 150);
        client.mail().assert_holds(&messages);
        came.push(count.load(Ordering::SeqCst));
    }
    assert!(came[0] < size / 4 && came[1] > size, "{came:?} of {size}");
}
