"use strict";
throw new Error("@grpc/proto-loader is not part of this module: channelz and ORCA are not served");
