"""Compound files ([MS-CFB]) for tests, and the macros that may lie in them ([MS-OVBA])."""

import struct

_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_NONE = 0xFFFFFFFF
_SECTOR, _MINI, _CUTOFF = 512, 64, 4096


def compound(streams, clsid=bytes(16)):
    """A compound file with `streams`: bytes by path, "Macros/VBA/dir"."""
    tree = {}
    for path, data in streams.items():
        *folders, name = path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = data
    return _Writer(tree, clsid).file()


class _Writer:
    def __init__(self, tree, clsid):
        self.entries, self.fat, self.sectors, self.minifat, self.mini = [], [], [], [], b""
        self.entries.append(["Root Entry", 5, _NONE, _NONE, 0, 0, clsid])
        self.entries[0][3] = self.children(tree)

    def children(self, tree):
        """Each is the right sibling of the one before."""
        first = before = _NONE
        for name, node in tree.items():
            number = len(self.entries)
            self.entries.append([name, 2 if isinstance(node, bytes) else 1, _NONE, _NONE, 0, 0, bytes(16)])
            if isinstance(node, bytes):
                self.entries[number][4:6] = self.stored(node), len(node)
            else:
                self.entries[number][3] = self.children(node)
            if before == _NONE:
                first = number
            else:
                self.entries[before][2] = number
            before = number
        return first

    def stored(self, data):
        if len(data) >= _CUTOFF:
            return self.chain(data)
        count = -(-len(data) // _MINI) or 1
        start = len(self.minifat)
        self.minifat += [*range(start + 1, start + count), _END]
        self.mini += data.ljust(count * _MINI, b"\0")
        return start

    def chain(self, data):
        count = -(-len(data) // _SECTOR) or 1
        start = len(self.fat)
        self.fat += [*range(start + 1, start + count), _END]
        data = data.ljust(count * _SECTOR, b"\0")
        self.sectors += [data[at : at + _SECTOR] for at in range(0, len(data), _SECTOR)]
        return start

    def file(self):
        self.entries[0][4:6] = self.chain(self.mini), len(self.mini)
        minifat = struct.pack(f"<{len(self.minifat)}I", *self.minifat)
        minifat = minifat.ljust(-(-len(minifat) // _SECTOR) * _SECTOR or _SECTOR, b"\xff")
        minifat_start = self.chain(minifat)
        directory_start = self.chain(b"".join(map(self.entry, self.entries)))
        fat_sectors = -(-(len(self.fat) + 8) // 128)
        fat_start = len(self.fat)
        fat = self.fat + [_FAT] * fat_sectors
        fat += [_FREE] * (fat_sectors * 128 - len(fat))
        difat = [*range(fat_start, fat_start + fat_sectors)] + [_FREE] * (109 - fat_sectors)
        header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
        header += struct.pack("<HHHHH6xIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, fat_sectors, directory_start, 0, _CUTOFF,
                              minifat_start, len(minifat) // _SECTOR, _END, 0)  # fmt: skip
        header += struct.pack("<109I", *difat)
        return header + b"".join(self.sectors) + struct.pack(f"<{len(fat)}I", *fat)

    def entry(self, entry):
        name, kind, right, child, start, size, clsid = entry
        text = (name + "\0").encode("utf-16-le")
        packed = text.ljust(64, b"\0") + struct.pack("<HBBIII", len(text), kind, 1, _NONE, right, child) + clsid
        return packed + struct.pack("<I16xIQ", 0, start, size)


def compressed(data):
    """[MS-OVBA] 2.4.1, of literals only; for data of up to 3600 bytes."""
    groups = b"".join(b"\0" + data[at : at + 8] for at in range(0, len(data), 8))
    return b"\x01" + struct.pack("<H", 0xB000 | (len(groups) - 1)) + groups


def macros(code, folder="Macros/"):
    """The streams of a VBA project with one module."""

    def record(number, data):
        return struct.pack("<HI", number, len(data)) + data

    name, wide = b"Module1", "Module1".encode("utf-16-le")
    directory = (
        record(1, struct.pack("<I", 1)) + record(2, struct.pack("<I", 0x409)) + record(0x14, struct.pack("<I", 0x409))
        + record(3, struct.pack("<H", 1252)) + record(4, b"Project") + record(5, b"") + record(0x40, b"")
        + record(6, b"") + record(0x3D, b"") + record(7, bytes(4)) + record(8, bytes(4))
        + struct.pack("<HIIH", 9, 4, 1, 1) + record(0xC, b"") + record(0x3C, b"")
        + record(0xF, struct.pack("<H", 1)) + record(0x13, struct.pack("<H", 0xFFFF))
        + record(0x19, name) + record(0x47, wide) + record(0x1A, name) + record(0x32, wide)
        + record(0x1C, b"") + record(0x48, b"") + record(0x31, bytes(4)) + record(0x1E, bytes(4))
        + record(0x2C, struct.pack("<H", 0xFFFF)) + record(0x21, b"") + record(0x2B, b"") + record(0x10, b"")
    )  # fmt: skip
    return {
        f"{folder}VBA/dir": compressed(directory),
        f"{folder}VBA/Module1": compressed(code.encode()),
        f"{folder}VBA/_VBA_PROJECT": b"\xcc\x61\xff\xff\x00\x00\x00",
        f"{folder}PROJECT": b'ID="{00000000-0000-0000-0000-000000000000}"\r\nModule=Module1\r\nName="Project"\r\n',
    }


def package(name, data):
    """The Ole10Native stream of an embedded file ([MS-OLEDS] 2.3.6)."""
    named = struct.pack("<H", 2) + name + b"\0" + b"C:\\" + name + b"\0" + bytes(8) + b"C:\\" + name + b"\0"
    content = named + struct.pack("<I", len(data)) + data
    return struct.pack("<I", len(content)) + content
