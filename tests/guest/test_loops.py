# SPDX-License-Identifier: GPL-2.0-or-later
"""The same thing again and again, with 64 threads that flush all the time.

Each loop runs as a script in the guest, which looks after every round whether the
region is in the state that it should be in, whether requests failed, and whether
they get on. $GUEST_LOOPS says how many rounds; tests/guest/loops sets it.
"""

from __future__ import annotations

import os
import sys
import time

import vm
from guestcase import DEVICE, DRIVER, GuestCase, load_tests     # noqa: F401
from load import UNBOUND

SMOKE = {"bind": 4, "quiesce": 20, "suspend": 3, "recover": 10}
FULL = {"bind": 1000, "quiesce": 1000, "suspend": 200, "recover": 200}

# What the scripts share. Only what the shell does by itself is quick under emulation.
TOOLS = """
die() { echo "round $round: $*" >&2; for f in $D/*; do echo "$f: $(cat $f)"; done >&2; exit 1; }
is() { read -r found < $D/$1; [ "$found" = "$2" ] || die "$1 is $found, not $2"; }
counts() { read -r requests _ flushes failed _ < $D/flush_stats; }
busy() {                        # until so many more requests have been answered
    counts; target=$((requests + $1)) looks=0
    while [ $requests -lt $target ]; do
        counts
        looks=$((looks + 1))
        [ $looks -lt 100000 ] || die "no request gets answered"
    done
}
start() { counts; first=$failed; }
none_failed() { counts; [ $failed = $first ] || die "$((failed - first)) requests failed"; }
round=0
rounds() { round=$((round + 1)); echo $round; [ $round -le $N ]; }
"""

QUIESCE = """
start
while rounds; do
    echo 1 > $D/quiesce || die "quiesce failed"
    is state quiesced
    is in_flight_us 0
    echo 0 > $D/quiesce || die "resume failed"
    is state active
    busy 20
    none_failed
done
"""

SUSPEND = """
start
while rounds; do
    echo mem > /sys/power/state || die "the suspend failed"
    is state active
    busy 20
    none_failed
done
"""

# A notify does no harm where QEMU, whose main loop is late, hears it and the driver's own as one:
# it takes the request then. With that loop at SCHED_IDLE on a busy machine 11 of 71 were such.
RECOVER = """
late=0 notified=0
while rounds; do
    looks=0
    until read -r found < $D/state; [ $found = broken ]; do
        if [ $((looks % 500)) = 0 ]; then
            echo $PCI > $NOTIFY || die "no notify"
            notified=$((notified + 1))
        fi
        looks=$((looks + 1))
        [ $looks -lt 100000 ] || die "it does not break"
    done
    is broken_reason needs-reset
    # A flush that was submitted before the driver heard of the reset has no answer to
    # come, which the first recover cannot know.
    if ! echo 1 > $D/recover 2> /dev/null; then
        is broken_reason timeout
        late=$((late + 1))
        echo 1 > $D/recover || die "recover failed"
    fi
    is state active
    is broken_reason none
    start
    busy 20
    none_failed
done
echo "$late of them waited for an answer in vain, $((notified - N)) notifies did no harm"
"""

BIND = """
while rounds; do
    echo $VIRTIO > $DRIVER/unbind || die "unbind failed"
    [ ! -e $D ] || die "the region is still there"
    echo $VIRTIO > $DRIVER/bind || die "bind failed"
    until [ -b /dev/pmem0 ] && [ -e $D/state ]; do usleep 10000; done
    is state active
    start
    busy 20
    none_failed
    echo 1 > $D/../deep_flush || die "deep_flush failed"
done
"""


class Loops(GuestCase):
    """Under load."""

    load = True
    devices = 1
    append = "no_console_suspend"

    def rounds(self, name: str) -> int:
        """How often a loop runs: "full", a number, or few times."""
        text = os.environ.get("GUEST_LOOPS", "")
        return FULL[name] if text == "full" else int(text or SMOKE[name])

    def start_loop(self, name: str, script: str, **variables: str) -> vm.Job:
        assign = "".join(f"{key}='{value}'\n" for key, value in
                         {"N": str(self.rounds(name)), "D": self.file("")[:-1],
                          **variables}.items())
        return self.guest.start(assign + TOOLS + script)

    def finish(self, name: str, job: vm.Job) -> None:
        """Follow a loop to its end. A round that takes two minutes is one that hangs."""
        rounds, started = self.rounds(name), time.monotonic()
        done, moved = -1, started
        while job.running:
            now = len(job.output.splitlines()) - 1
            if now != done:
                done, moved = now, time.monotonic()
                if rounds > SMOKE[name] and done % max(1, rounds // 20) == 0:
                    print(f"     {name}: {done} of {rounds} rounds, "
                          f"{moved - started:.0f} s", file=sys.stderr, flush=True)
            if time.monotonic() - moved > 120 + self.guest.grace:
                self.tell_what_hangs()
                raise vm.GuestDied(f"{name}: round {done + 1} hangs", self.guest.console)
            if name == "suspend":
                self.wake_if_asleep()
            time.sleep(0.1)
        result = job.wait(check=False)
        self.assertEqual(result.stderr, "")
        self.assertEqual(result.status, 0)
        self.note(f"{rounds} rounds in {time.monotonic() - started:.0f} s")
        if not (last := result.stdout.splitlines()[-1]).isdigit():
            self.note(last)

    def tell_what_hangs(self) -> None:
        """The region's files, and where every thread sleeps."""
        for what in (f"grep -s . {self.file('')}*", "cat /proc/interrupts",
                     "for t in /proc/[0-9]*/task/*; do echo $t $(cat $t/comm) $(cat $t/wchan); "
                     "cat $t/stack; done"):
            try:
                print(self.guest.run(what, timeout=60, check=False).stdout, file=sys.stderr)
            except vm.GuestError as error:
                print(f"{what}: {error}", file=sys.stderr)

    def loop(self, name: str, script: str, *errors: str, **variables: str) -> None:
        """Run a loop under load. ERRORS: what the load may be told."""
        self.host().set(delay_ms=2)     # threads that wait leave the processor to the loop
        load = self.start_load(wait=60)
        load.wait_calls(64)
        self.finish(name, self.start_loop(name, script, **variables))
        report = load.stop()
        self.note(str(report))
        self.answered(report, *errors)

    def test_f12_quiesce(self) -> None:
        """F12: quiesce and resume: no request fails, none is lost."""
        self.loop("quiesce", QUIESCE)

    def test_f7_recover(self) -> None:
        """F7, F10: a device that wants a reset, and recover: each request is answered, and those
        after the recover with success."""
        self.stray_notify()     # loads the module
        self.assertEqual(self.store(self.file("recover"), "1"), "")
        self.set_attr("stall_timeout_ms", "2000")
        self.loop("recover", RECOVER, "EIO", PCI=self.pci(), NOTIFY=f"{DEVICE}/notify")

    def test_f11_bind(self) -> None:
        """F11: unbind and bind: each request is answered, with an error only if the device is
        not there."""
        self.search_no_modules()
        self.loop("bind", BIND, *UNBOUND, VIRTIO=self.virtio(), DRIVER=DRIVER)

    def test_f11_suspend(self) -> None:
        """F11, F12: suspend and resume: no request fails, none is lost."""
        test = "/sys/power/pm_test"
        if "[deep]" not in self.guest.run("cat /sys/power/mem_sleep", check=False).stdout:
            self.skipTest("this kernel has no suspend to RAM")
        if self.guest.run(f"echo devices > {test}", check=False).status == 0:
            # Devices sleep, the machine does not: it need not be woken, and is quicker.
            self.guest.run("echo 0 > /sys/module/suspend/parameters/pm_test_delay")
            self.addCleanup(self.guest.run, f"echo none > {test}")
        self.loop("suspend", SUSPEND)
