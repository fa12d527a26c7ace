//! The floor: one thread that copies bytes between two sockets with as few system calls as can be, and knows nothing
//! of what they mean. No proxy that does anything costs less.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// Serves until it is killed.
#[expect(clippy::print_stdout, reason = "the line is for the process that started this one")]
pub(crate) fn serve(upstream: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let watch = |socket: &dyn AsFd, fd: i32| {
        epoll::add(&poll, socket.as_fd(), EventData::new_u64(fd.unsigned_abs().into()), EventFlags::IN)
    };
    watch(&listener, listener.as_raw_fd())?;
    let mut pairs: HashMap<u64, (Rc<TcpStream>, Rc<TcpStream>)> = HashMap::new();
    let mut buffer = vec![0; 16 * 1024];
    let mut events: Vec<Event> = Vec::with_capacity(256);
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let id = event.data.u64();
            if id == u64::from(listener.as_raw_fd().unsigned_abs()) {
                let downstream = Rc::new(listener.accept()?.0);
                let upstream = Rc::new(TcpStream::connect(upstream)?);
                for (from, to) in [(&downstream, &upstream), (&upstream, &downstream)] {
                    from.set_nodelay(true)?;
                    watch(&**from, from.as_raw_fd())?;
                    pairs.insert(from.as_raw_fd().unsigned_abs().into(), (Rc::clone(from), Rc::clone(to)));
                }
                continue;
            }
            let Some((from, to)) = pairs.get(&id) else { continue };
            let read = (&**from).read(&mut buffer).unwrap_or(0);
            if read == 0 || (&**to).write_all(&buffer[..read]).is_err() {
                let other = u64::from(to.as_raw_fd().unsigned_abs());
                pairs.remove(&id);
                pairs.remove(&other);
            }
        }
    }
}
