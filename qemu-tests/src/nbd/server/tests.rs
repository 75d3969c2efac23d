use std::io::Write;
use std::time::Duration;

use super::super::fault::{Error, When};
use super::super::recorder::{EVENTS, Event};
use super::*;

/// A client as simple as can be: no options but the oldest one.
struct Client(UnixStream);

impl Client {
    fn connect(server: &Server) -> Self {
        let mut stream = UnixStream::connect(server.socket()).unwrap();
        let mut greeting = [0; 18];
        stream.read_exact(&mut greeting).unwrap();
        stream.write_all(&[&3_u32.to_be_bytes()[..], b"IHAVEOPT", &1_u32.to_be_bytes(), &0_u32.to_be_bytes()].concat()).unwrap();
        let mut export = [0; 10];
        stream.read_exact(&mut export).unwrap();
        Self(stream)
    }

    fn request(kind: u16, flags: u16, offset: u64, len: u32, data: &[u8]) -> Vec<u8> {
        let head = [&0x2560_9513_u32.to_be_bytes()[..], &flags.to_be_bytes(), &kind.to_be_bytes(), &1_u64.to_be_bytes()].concat();
        [&head[..], &offset.to_be_bytes(), &len.to_be_bytes(), data].concat()
    }

    fn send(&mut self, bytes: &[u8]) {
        // A server that has hung up is noticed when its answer does not come.
        let _ = self.0.write_all(bytes);
    }

    /// The number of the error and the data, or nothing when the server has hung up.
    fn hear(&mut self, len: usize) -> Option<(u32, Vec<u8>)> {
        let mut head = [0; 16];
        self.0.read_exact(&mut head).ok()?;
        let errno = u32::from_be_bytes(head[4..8].try_into().unwrap());
        let mut data = vec![0; if errno == 0 { len } else { 0 }];
        self.0.read_exact(&mut data).ok()?;
        Some((errno, data))
    }

    fn write(&mut self, offset: u64, byte: u8) -> Option<u32> {
        self.send(&Self::request(1, 0, offset, 512, &[byte; 512]));
        self.hear(0).map(|(errno, _)| errno)
    }

    fn flush(&mut self) -> Option<u32> {
        self.send(&Self::request(3, 0, 0, 0, &[]));
        self.hear(0).map(|(errno, _)| errno)
    }

    fn read(&mut self, offset: u64) -> Option<(u32, Vec<u8>)> {
        self.send(&Self::request(0, 0, offset, 512, &[]));
        self.hear(512)
    }
}

fn serve(recorder: Option<Recorder>) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let socket = Utf8Path::from_path(dir.path()).unwrap().join("disk");
    let disk = Layered::over(tempfile::tempfile().unwrap(), 4096).unwrap();
    let server = Server::start(&socket, disk, Cache::Volatile, recorder.map(|recorder| (3, recorder))).unwrap();
    (dir, server)
}

#[test]
fn what_is_written_is_read_by_the_next_client_too() {
    let (_dir, server) = serve(None);
    let mut client = Client::connect(&server);
    assert_eq!(client.write(512, 7), Some(0));
    assert_eq!(client.read(512), Some((0, vec![7; 512])));
    client.send(&Client::request(2, 0, 0, 0, &[]));
    let mut client = Client::connect(&server);
    assert_eq!(client.read(512), Some((0, vec![7; 512])));
    client.send(&Client::request(6, 0, 512, 512, &[]));
    assert_eq!(client.hear(0), Some((0, vec![])));
    assert_eq!(client.read(512), Some((0, vec![0; 512])));
    assert_eq!(server.trouble(), None);
}

#[test]
fn nonsense_ends_the_connection_and_is_told() {
    let (_dir, server) = serve(None);
    let mut client = Client::connect(&server);
    client.send(&Client::request(1, 0, 1 << 40, 512, &[0; 512]));
    assert_eq!(client.hear(0), None);
    drop(client);
    Client::connect(&server);
    assert!(server.trouble().unwrap().contains("outside of the disk"));
}

#[test]
fn the_recording_keeps_what_was_asked_together_apart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let recorder = Recorder::create(folder).unwrap();
    let (_dir, server) = serve(Some(recorder.clone()));
    let mut client = Client::connect(&server);
    client.write(0, 1).unwrap();
    recorder.mark("now").unwrap();
    // A write and a flush in one go: neither waits for the other.
    let both = [Client::request(1, 1, 512, 512, &[2; 512]), Client::request(3, 0, 0, 0, &[])].concat();
    client.send(&both);
    client.hear(0).unwrap();
    client.hear(0).unwrap();
    client.read(0).unwrap();
    drop((client, server));
    recorder.finish().unwrap();
    let text = std::fs::read_to_string(folder.join(EVENTS)).unwrap();
    let events: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let write = |id, fua, offset, data| Event::Submit { id, disk: 3, op: Op::Write, fua, offset, len: 512, data };
    let flush = Event::Submit { id: 2, disk: 3, op: Op::Flush, fua: false, offset: 0, len: 0, data: 1024 };
    let expected = [
        write(0, false, 0, 0),
        Event::Complete(0),
        Event::Mark("now".into()),
        write(1, true, 512, 512),
        flush,
        Event::Complete(1),
        Event::Complete(2),
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_live_cut_loses_what_was_not_flushed_and_answers_nothing_more() {
    let (_dir, server) = serve(None);
    server.faults(|_| {});
    let mut client = Client::connect(&server);
    client.write(0, 1).unwrap();
    client.flush().unwrap();
    client.write(0, 2).unwrap();
    server.cut().unwrap();
    assert_eq!(client.write(512, 3), None);
    assert!(UnixStream::connect(server.socket()).unwrap().read_exact(&mut [0; 18]).is_err(), "a dead disk greets nobody");
    server.restore();
    let mut client = Client::connect(&server);
    assert_eq!(client.read(0), Some((0, vec![1; 512])));
    assert_eq!(client.read(512), Some((0, vec![0; 512])));
}

#[test]
fn faults_refuse_delay_and_cut() {
    let (_dir, server) = serve(None);
    server.faults(|faults| {
        faults.add(When::ChangeWithin(512..1024), What::Fail(Error::NoSpace));
        faults.add(When::ReadWithin(1024..1536), What::Fail(Error::Io));
        faults.add(When::Change(2), What::Delay(Duration::from_millis(1)));
        faults.add(When::Change(3), What::Cut);
    });
    let mut client = Client::connect(&server);
    assert_eq!(client.write(512, 1), Some(28));
    assert_eq!(client.read(1024), Some((5, vec![])));
    assert_eq!(client.read(512), Some((0, vec![0; 512])));
    assert_eq!(client.write(2048, 1), Some(0));
    assert_eq!(client.write(2048, 2), None);
    server.restore();
    assert_eq!(Client::connect(&server).read(2048), Some((0, vec![0; 512])), "nothing was flushed");
}
