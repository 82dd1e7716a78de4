"""The stand-in of the service and its emulated link: start it, set the link, read its counters, end it."""

import json
import os
import select
import socket
import subprocess
import threading

READY_SECONDS = 60
ANSWER_SECONDS = 60


class LinkError(Exception):
    pass


class Standin:
    """One running bt-standin. Ends with close(), and by itself when this program dies (its standard input closes)."""

    def __init__(self, program, directory, log):
        self._lock = threading.Lock()
        self._sftp = None
        self._process = subprocess.Popen(
            [program, "--dir", directory, "--until-stdin-closes"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        if not select.select([self._process.stdout], [], [], READY_SECONDS)[0]:
            self._process.kill()
            raise LinkError(f"the stand-in was not ready within {READY_SECONDS} s")
        line = self._process.stdout.readline()
        if not line:
            raise LinkError(f"the stand-in did not start; see {log.name}")
        self.coordinates = json.loads(line)
        node = self.coordinates["nodes"][0]
        self.directory = node["directory"]  # what the clients see as the workspace
        self.plain_port = node["plain_port"]
        self.environment = self.coordinates["env"]
        self.control_path = self.coordinates["control_socket"]
        self.user = "baseten"
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_SECONDS)
        self._socket.connect(self.control_path)
        self._answers = self._socket.makefile("r")

    def command(self, name, **fields):
        with self._lock:
            self._socket.sendall(json.dumps({"cmd": name, **fields}).encode() + b"\n")
            answer = json.loads(self._answers.readline() or '{"ok": false, "error": "the stand-in ended"}')
        if not answer.pop("ok"):
            raise LinkError(f"{name}: {answer['error']}")
        return answer

    def set_link(self, rtt_ms, rate, window):
        """Round trip in ms; bytes a second shared by all connections (0: no limit); window in bytes a connection."""
        self.command("rtt", rtt=f"{rtt_ms}ms")
        self.command("rate", rate=rate)
        self.command("window", window=window)

    def set_sftp(self, mode):
        """"plain": sftp-server alone, for cases that move many bytes; "tap": requests and turns are counted. A change
        restarts sshd, so nothing may be mounted."""
        if mode != self._sftp:
            self.command("restart", sftp=mode)
            self._sftp = mode

    def write_login(self, file):
        self.command("login", file=file)

    def counters(self):
        """What the wire and the processors have done so far, flat, for subtraction."""
        counted = self.command("counters")
        cpu = self.command("cpu")
        return {
            "wire_down": counted["link"]["bytes_down"],
            "wire_up": counted["link"]["bytes_up"],
            "connections": counted["link"]["connections"],
            "requests": sum(counted["sftp"]["requests"].values()),
            "turns": counted["sftp"]["turns"],
            "data_read": counted["sftp"]["bytes_read"],
            "cpu_emulator": cpu["own_seconds"],
            "cpu_server": cpu["server_seconds"],
        }

    def close(self):
        self._socket.close()
        self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.kill(self._process.pid, 9)
            self._process.wait()
