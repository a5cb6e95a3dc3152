package spanspool

// #include <spanspool.h>
import "C"

import (
	"fmt"
	"math"
	"time"
)

// An ExportState is what the exporter of a client is doing. The numbers are those of enum spanspool_export in the C
// header. A newer library may give others.
type ExportState uint64

const (
	// ExportIdle: there is no batch to send.
	ExportIdle ExportState = C.SPANSPOOL_EXPORT_IDLE
	// ExportSending: a request is under way.
	ExportSending ExportState = C.SPANSPOOL_EXPORT_SENDING
	// ExportBackoff: it waits before it tries again.
	ExportBackoff ExportState = C.SPANSPOOL_EXPORT_BACKOFF
	// ExportHold: it waits for something outside to change (a key, a permission, an address, room on the disk, a file that
	// stays missing or unreadable), and probes now and then.
	ExportHold ExportState = C.SPANSPOOL_EXPORT_HOLD
)

// String is the state in one word.
func (s ExportState) String() string {
	switch s {
	case ExportIdle:
		return "idle"
	case ExportSending:
		return "sending"
	case ExportBackoff:
		return "backoff"
	case ExportHold:
		return "hold"
	default:
		return fmt.Sprintf("ExportState(%d)", uint64(s))
	}
}

// Stats are the counters of a client, in the order of spanspool_stats in the C header. At all times, across restarts:
//
//	Accepted = Delivered + Pending + Rejected + DroppedOverflow + DroppedExpired + DroppedCorrupt
type Stats struct {
	// Items that Enqueue accepted.
	Accepted uint64
	// Items that the ingest answered with a 2xx status.
	Delivered uint64
	// Items in the rejected store.
	Rejected uint64
	// Items dropped at a limit (overflow=drop_oldest, max_rejected_bytes).
	DroppedOverflow uint64
	// Items dropped because they were older than MaxAge.
	DroppedExpired uint64
	// Items that could not be read from a damaged disk.
	DroppedCorrupt uint64
	// Items that are still to be delivered.
	Pending uint64
	// Bytes of items that are still to be delivered.
	PendingBytes uint64
	// Bytes that the client's lane takes on disk.
	DiskBytes uint64
	// Age of the oldest pending item, in whole milliseconds; 0 when there is none.
	OldestPendingAge time.Duration
	// Requests that were answered with a 2xx status.
	BatchesSent uint64
	// Attempts that failed and are made again.
	Retries uint64
	// What the exporter is doing.
	ExportState ExportState
	// The last HTTP status; 0 when there was no answer yet.
	LastHTTPStatus uint64
	// Lanes of dead processes that this client took over.
	LanesAdopted uint64
	// Items that the ingest refused inside an answer of success.
	PartiallyRejected uint64
	// Batches in the rejected store that wait for their key to be set: no_key:NAME and key_refused:NAME.
	HeldBatches uint64
}

func statsOf(raw *C.spanspool_stats) Stats {
	return Stats{
		Accepted:          uint64(raw.accepted),
		Delivered:         uint64(raw.delivered),
		Rejected:          uint64(raw.rejected),
		DroppedOverflow:   uint64(raw.dropped_overflow),
		DroppedExpired:    uint64(raw.dropped_expired),
		DroppedCorrupt:    uint64(raw.dropped_corrupt),
		Pending:           uint64(raw.pending),
		PendingBytes:      uint64(raw.pending_bytes),
		DiskBytes:         uint64(raw.disk_bytes),
		OldestPendingAge:  duration(uint64(raw.oldest_pending_age_ms)),
		BatchesSent:       uint64(raw.batches_sent),
		Retries:           uint64(raw.retries),
		ExportState:       ExportState(raw.export_state),
		LastHTTPStatus:    uint64(raw.last_http_status),
		LanesAdopted:      uint64(raw.lanes_adopted),
		PartiallyRejected: uint64(raw.partially_rejected),
		HeldBatches:       uint64(raw.held_batches),
	}
}

// duration is a number of milliseconds, the longest duration if it is more than that.
func duration(milliseconds uint64) time.Duration {
	return time.Duration(min(milliseconds, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
}
