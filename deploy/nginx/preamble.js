// Tells the application who is at the other end of a TLS connection: a PROXY protocol v2 header with TLVs, ahead of the
// first bytes that the client sends. app/server/preamble.py is the other side and says what the TLVs are.
//
// An exception closes the connection, and that is what must happen whenever the header cannot be complete.

const LIMIT = 32768;     // a TLV's length has 16 bits and would wrap; the application has the same limit
const SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);

// js_preread: opens no connection to the application before the client has sent something (preread_timeout bounds that).
function wait(s) {
    s.on('upstream', function (data) {
        if (data.length > 0) {
            s.done();
        }
    });
}

// js_filter: header and first data in one send(), because two would arrive in the wrong order.
function prepend(s) {
    let sent = false;
    s.on('upstream', function (data, flags) {
        if (sent) {
            s.send(data, flags);
            return;
        }
        if (data.length === 0 && !flags.last) {
            return;
        }
        sent = true;
        s.send(Buffer.concat([header(s), data]), flags);
        s.off('upstream');
    });
}

function header(s) {
    const v = s.rawVariables;
    const addresses = ports(s, v);
    const rest = [addresses.bytes, tlv(0xe0, v.ssl_client_verify)];
    if (v.ssl_client_raw_cert && v.ssl_client_raw_cert.length > 0) {
        rest.push(tlv(0xe1, v.ssl_client_s_dn));
        rest.push(tlv(0xe2, v.ssl_client_raw_cert));
    }
    const body = Buffer.concat(rest);
    if (body.length > LIMIT) {
        throw new Error('the client certificate is too large');
    }
    return Buffer.concat([SIGNATURE, Buffer.from([0x21, addresses.family]), be16(body.length), body]);
}

function ports(s, v) {
    const from = v.binary_remote_addr;
    const to = Buffer.alloc(from.length);  // where the client connected to is of no use behind us
    const numbers = Buffer.concat([be16(Number(s.variables.remote_port)), be16(Number(s.variables.server_port))]);
    return { family: from.length === 4 ? 0x11 : 0x21, bytes: Buffer.concat([from, to, numbers]) };
}

function tlv(type, value) {
    if (value === undefined) {
        value = Buffer.alloc(0);
    }
    if (value.length > LIMIT) {
        throw new Error('the client certificate is too large');
    }
    return Buffer.concat([Buffer.from([type]), be16(value.length), value]);
}

function be16(n) {
    return Buffer.from([n >> 8 & 0xff, n & 0xff]);
}

export default { wait, prepend };
